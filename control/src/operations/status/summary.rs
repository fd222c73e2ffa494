//! Many plugins in one line: how many are in force, and how many are not.

use std::fmt;

use super::cluster::PluginStatus;

/// How many plugins are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All of them.
    pub plugins: usize,
    /// Those whose proxies all run what is wanted.
    pub in_force: usize,
    /// Those with proxies that do not.
    pub behind: usize,
    /// Those that select no proxy.
    pub without_proxies: usize,
    /// Those of which it is not known.
    pub unknown: usize,
    /// Those with problems.
    pub with_problems: usize,
    /// Those with warnings.
    pub with_warnings: usize,
}

impl Summary {
    /// Of some statuses.
    pub fn of(statuses: &[PluginStatus]) -> Self {
        let mut summary = Self::default();
        for status in statuses {
            summary.count(status.selected, status.converged);
            summary.with_problems += usize::from(!status.problems.is_empty());
            summary.with_warnings += usize::from(!status.warnings.is_empty());
        }
        summary
    }

    fn count(&mut self, selected: Option<usize>, converged: Option<usize>) {
        self.plugins += 1;
        let kind = match (selected, converged) {
            (Some(0), _) => &mut self.without_proxies,
            (Some(selected), Some(converged)) if selected == converged => &mut self.in_force,
            (Some(_), Some(_)) => &mut self.behind,
            _ => &mut self.unknown,
        };
        *kind += 1;
    }
}

/// `3 plugins: 1 in force on every proxy, 2 not; 1 with problems`.
impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |counts: &[(usize, &str)]| {
            let some = counts.iter().filter(|(count, _)| *count > 0);
            let some = some.map(|(count, what)| format!("{count} {what}"));
            some.collect::<Vec<_>>().join(", ")
        };
        let proxies = counted(&[
            (self.in_force, "in force on every proxy"),
            (self.behind, "not"),
            (self.without_proxies, "without proxies"),
            (self.unknown, "unknown"),
        ]);
        let findings = counted(&[
            (self.with_problems, "with problems"),
            (self.with_warnings, "with warnings"),
        ]);
        let joined = |before: &str, text: String| match text.as_str() {
            "" => String::new(),
            text => format!("{before}{text}"),
        };
        let plural = if self.plugins == 1 { "" } else { "s" };
        write!(
            formatter,
            "{} plugin{plural}{}{}",
            self.plugins,
            joined(": ", proxies),
            joined("; ", findings)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_is_counted_once_by_its_proxies() {
        let plugins = [
            (Some(2), Some(2)),
            (Some(2), Some(1)),
            (Some(2), Some(0)),
            (Some(0), Some(0)),
            (Some(0), None),
            (Some(2), None),
            (None, None),
        ];
        let mut summary = Summary::default();
        for (selected, converged) in plugins {
            summary.count(selected, converged);
        }
        summary.with_problems = 1;
        assert_eq!(
            summary.to_string(),
            "7 plugins: 1 in force on every proxy, 2 not, 2 without proxies, 2 unknown; 1 with problems"
        );
        assert_eq!(Summary::default().to_string(), "0 plugins");
    }
}
