//! What headers and claims of a request were, so that the host is asked once for each.
//!
//! A chain that only grows, so that what it holds can be borrowed while it does.

use std::cell::OnceCell;

use super::Bytes;

/// What is remembered by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header,
    Claim,
}

/// A chain of answers.
#[derive(Debug, Default)]
pub(super) struct Remembered<'r>(OnceCell<Box<Answer<'r>>>);

#[derive(Debug)]
struct Answer<'r> {
    kind: Kind,
    name: &'r str,
    value: Option<Bytes<'r>>,
    next: Remembered<'r>,
}

impl<'r> Remembered<'r> {
    /// The answer, if it was given before; and how many were looked at.
    pub(super) fn find(&self, kind: Kind, name: &str) -> (Option<Option<&[u8]>>, usize) {
        let (mut chain, mut place) = (self, 0);
        while let Some(answer) = chain.0.get() {
            if answer.kind == kind && answer.name == name {
                return (Some(answer.value.as_deref()), place);
            }
            chain = &answer.next;
            place += 1;
        }
        (None, place)
    }

    /// Adds an answer at the end.
    pub(super) fn add(&self, kind: Kind, name: &'r str, value: Option<Bytes<'r>>) -> Option<&[u8]> {
        let mut chain = self;
        while let Some(answer) = chain.0.get() {
            chain = &answer.next;
        }
        let answer = chain.0.get_or_init(|| {
            Box::new(Answer {
                kind,
                name,
                value,
                next: Self::default(),
            })
        });
        answer.value.as_deref()
    }
}
