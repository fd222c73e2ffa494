//! What the definitions of splits have in common, each kept once: names of cookies and headers, variants,
//! sources of identity.
//!
//! A thousand splits that look at the same cookie and have the same variants then read the same few
//! bytes, which the processor has at hand; a text for each would be another look into memory for
//! each request of another split. Called by [`super::Definition::compile`], for the splits of one
//! configuration that are new or changed.

use std::sync::Arc;

use crate::identity::Source;

/// How many different texts are looked through, and how many lists. Chosen: a search costs a fraction of
/// what reading a split does, and what is common comes early.
const COMMON_TEXTS: usize = 64;

/// What was read of one configuration so far.
#[derive(Debug, Default)]
pub struct Common {
    texts: Vec<Arc<str>>,
    lists: Vec<Arc<[Arc<str>]>>,
    sources: Vec<Arc<[Source]>>,
}

impl Common {
    /// A text, the same one where it is known.
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        kept(&mut self.texts, text.into())
    }

    /// A list of texts, the same one where it is known.
    pub(super) fn list(&mut self, texts: impl Iterator<Item = String>) -> Arc<[Arc<str>]> {
        let texts = texts.map(|text| self.text(&text)).collect();
        kept(&mut self.lists, texts)
    }

    /// Sources of identity, the same ones where they are known.
    pub(super) fn sources(&mut self, sources: Vec<Source>) -> Arc<[Source]> {
        kept(&mut self.sources, sources.into())
    }
}

fn kept<T: PartialEq + ?Sized>(all: &mut Vec<Arc<T>>, new: Arc<T>) -> Arc<T> {
    if let Some(known) = all.iter().find(|known| **known == new) {
        return Arc::clone(known);
    }
    if all.len() < COMMON_TEXTS {
        all.push(Arc::clone(&new));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_the_same_is_kept_once() {
        let mut common = Common::default();
        let variants = || ["stable", "canary"].map(str::to_owned).into_iter();
        let first = common.list(variants());
        assert!(Arc::ptr_eq(&first, &common.list(variants())));
        assert!(Arc::ptr_eq(&first[0], &common.text("stable")));
        let cookie = |name: &str, common: &mut Common| {
            let name = common.text(name);
            common.sources(vec![Source::Cookie(name)])
        };
        let one = cookie("visitor", &mut common);
        assert!(Arc::ptr_eq(&one, &cookie("visitor", &mut common)));
        assert_ne!(one, cookie("other", &mut common));
        assert_eq!(*common.sources(Vec::new()), []);
    }

    #[test]
    fn beyond_so_many_each_has_its_own() {
        let mut common = Common::default();
        let texts: Vec<String> = (0..=COMMON_TEXTS)
            .map(|number| number.to_string())
            .collect();
        let is_kept = |text: &String| Arc::ptr_eq(&common.text(text), &common.text(text));
        let kept: Vec<bool> = texts.iter().map(is_kept).collect();
        assert_eq!(kept, [vec![true; COMMON_TEXTS], vec![false]].concat());
    }
}
