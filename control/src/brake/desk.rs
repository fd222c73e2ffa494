//! What proxies are told, and who asked: what the service and those who watch it share.
//!
//! Each plugin has a page of its own, so that a change of one wakes nobody who asks for another.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use sluice_core::brake::Question;
use tokio::sync::watch;
use tokio::time::Instant;

use super::askers::{Askers, Number};
use super::claims::Claims;
use super::counts::Counts;
use super::object::Heard;
use super::plugin::PluginName;
use super::reading::Reading;
use super::table::{Page, Table};

/// What the service answers from, and whom it has heard of.
#[derive(Debug, Default)]
pub struct Desk {
    laid: Mutex<Laid>,
    askers: Mutex<Askers>,
    claims: Claims,
    counts: Counts,
    reading: Reading,
}

/// What is answered by, and whoever waits for something else.
#[derive(Debug, Default)]
struct Laid {
    /// `None` until some of the brakes are known.
    table: Option<Table>,
    waited_for: HashMap<PluginName, watch::Sender<Option<Arc<Page>>>>,
}

impl Laid {
    fn page(&self, plugin: &PluginName) -> Option<Arc<Page>> {
        let table = self.table.as_ref().filter(|table| table.is_of(plugin));
        table.map(|table| Arc::clone(table.page(plugin)))
    }

    /// Tells those who wait for a plugin's page, where it is another one.
    fn tell(&self, plugin: &PluginName, waiting: &watch::Sender<Option<Arc<Page>>>) {
        let page = self.page(plugin);
        waiting.send_if_modified(|former| {
            let is_other = *former != page;
            if is_other {
                *former = page;
            }
            is_other
        });
    }
}

/// A plugin's page, and each one that follows it, while somebody waits for them.
#[derive(Debug)]
pub struct Pages<'d> {
    desk: &'d Desk,
    plugin: &'d PluginName,
    page: watch::Receiver<Option<Arc<Page>>>,
}

impl Pages<'_> {
    /// The page as it is now; `None` while the brakes are not read.
    pub fn page(&mut self) -> Option<Arc<Page>> {
        self.page.borrow_and_update().clone()
    }

    /// Waits for another page than the one that was seen last.
    pub async fn turned(&mut self) {
        // Whoever tells is there for as long as somebody waits.
        let _ = self.page.changed().await;
    }
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        let mut laid = self.desk.laid();
        let waiting = laid.waited_for.get(self.plugin);
        // This one is still counted.
        if waiting.is_some_and(|waiting| waiting.receiver_count() == 1) {
            laid.waited_for.remove(self.plugin);
        }
    }
}

impl Desk {
    /// Answers from now on by this table.
    pub fn lay(&self, table: Table) {
        let mut laid = self.laid();
        laid.table = Some(table);
        for (plugin, waiting) in &laid.waited_for {
            laid.tell(plugin, waiting);
        }
    }

    /// Answers the proxies of one plugin by this page, where the brakes are read.
    pub fn turn(&self, plugin: &PluginName, page: Page) {
        let mut laid = self.laid();
        let Some(table) = &mut laid.table else {
            return;
        };
        table.turn(plugin, page);
        if let Some(waiting) = laid.waited_for.get(plugin) {
            laid.tell(plugin, waiting);
        }
    }

    /// What a plugin's proxies are answered now.
    pub fn page(&self, plugin: &PluginName) -> Option<Arc<Page>> {
        self.laid().page(plugin)
    }

    /// The same, and what they will be.
    pub fn pages<'d>(&'d self, plugin: &'d PluginName) -> Pages<'d> {
        let mut laid = self.laid();
        let page = match laid.waited_for.get(plugin) {
            Some(waiting) => waiting.subscribe(),
            None => {
                let (waiting, page) = watch::channel(laid.page(plugin));
                laid.waited_for.insert(plugin.clone(), waiting);
                page
            }
        };
        Pages {
            desk: self,
            plugin,
            page,
        }
    }

    /// Remembers who asked, and what they say that their guards took out.
    pub fn note(&self, plugin: &PluginName, question: &Question) -> Number {
        self.claims.note(plugin, question);
        self.askers().note(plugin, question, Instant::now())
    }

    /// Notes that a proxy went away while this question was held.
    pub fn left(&self, plugin: &PluginName, node: &str, question: Number) {
        self.askers().left(plugin, node, question, Instant::now());
    }

    /// Notes that a proxy was told nothing new: it asks again.
    pub fn rests(&self, plugin: &PluginName, node: &str, question: Number) {
        self.askers().rests(plugin, node, question, Instant::now());
    }

    /// How many proxies of a plugin ask, and how many of them have this version.
    pub fn heard(&self, plugin: &PluginName, version: &str) -> Heard {
        self.askers().heard(plugin, version, Instant::now())
    }

    /// Notes that a proxy was told something new: it asks again, here or elsewhere.
    pub fn told(&self, plugin: &PluginName, node: &str) {
        self.askers().told(plugin, node, Instant::now());
    }

    /// Forgets whoever has not asked for long.
    pub fn forget(&self) {
        self.askers().forget_old(Instant::now());
    }

    /// How many proxies asked of late.
    pub fn proxies(&self) -> usize {
        self.askers().count()
    }

    /// What proxies say that their guards took out.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether the brakes can be read.
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// What the service counts of itself.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    fn laid(&self) -> MutexGuard<'_, Laid> {
        self.laid.lock()
    }

    fn askers(&self) -> MutexGuard<'_, Askers> {
        self.askers.lock()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;
    use crate::brake::object::Brake;

    fn plugin(name: &str) -> PluginName {
        PluginName::of_envoy(name).unwrap()
    }

    fn table(plugins: &[&str]) -> Table {
        let brake = |(uid, plugin): (usize, &&str)| -> Brake {
            let created = "2026-01-01T00:00:00Z";
            serde_json::from_value(json!({
                "metadata": {"namespace": "shop", "uid": uid.to_string(), "creationTimestamp": created},
                "spec": {"plugin": plugin, "split": "web", "by": "ann"},
            }))
            .unwrap()
        };
        let brakes: Vec<Brake> = plugins.iter().enumerate().map(brake).collect();
        Table::of(&brakes, "2026-01-01T00:00:01Z".parse().unwrap())
    }

    /// Whether somebody who waits is woken now.
    fn is_woken(pages: &mut Pages<'_>) -> bool {
        pages.turned().now_or_never().is_some()
    }

    #[test]
    fn only_those_are_woken_whose_page_is_another() {
        let desk = Desk::default();
        let (one, two) = (plugin("shop.one"), plugin("shop.two"));
        let (mut ones, mut twos) = (desk.pages(&one), desk.pages(&two));
        assert_eq!((ones.page(), desk.page(&one)), (None, None));
        desk.lay(table(&[]));
        assert!(is_woken(&mut ones) && is_woken(&mut twos), "they are read");
        assert_eq!(ones.page(), Some(Arc::clone(table(&[]).page(&one))));
        twos.page();
        desk.lay(table(&["one"]));
        assert!(is_woken(&mut ones) && !is_woken(&mut twos));
        assert_eq!(ones.page(), desk.page(&one));
        desk.lay(table(&["one"]));
        assert!(!is_woken(&mut ones), "the same again");
        desk.turn(&two, Page::clone(table(&["two"]).page(&two)));
        assert!(!is_woken(&mut ones) && is_woken(&mut twos));
        assert_eq!(twos.page(), Some(Arc::clone(table(&["two"]).page(&two))));
        assert_eq!(ones.page(), Some(Arc::clone(table(&["one"]).page(&one))));
    }

    #[test]
    fn who_waits_later_has_the_page_as_it_is() {
        let desk = Desk::default();
        let one = plugin("shop.one");
        desk.turn(&one, Page::clone(table(&["one"]).page(&one)));
        assert_eq!(
            desk.page(&one),
            None,
            "of brakes that are not read, one says nothing"
        );
        desk.lay(table(&["one"]));
        let (mut first, mut second) = (desk.pages(&one), desk.pages(&one));
        let expected = Some(Arc::clone(table(&["one"]).page(&one)));
        assert_eq!((first.page(), second.page()), (expected.clone(), expected));
        assert!(!is_woken(&mut first));
    }

    #[test]
    fn of_a_plugin_that_nobody_waits_for_nothing_is_kept() {
        let desk = Desk::default();
        let one = plugin("shop.one");
        let (first, second) = (desk.pages(&one), desk.pages(&one));
        drop(first);
        assert_eq!(desk.laid().waited_for.len(), 1);
        drop(second);
        assert_eq!(desk.laid().waited_for.len(), 0);
    }
}
