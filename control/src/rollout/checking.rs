//! What the checks of a spec's sections share. What each may say stands with the section.

use sluice_core::problem::{Accepted, Problem};

/// Reports a mistake, unless one was reported there or below already: what is wrong in itself was,
/// where it was read.
pub(super) fn report(
    path: &str,
    found: impl Into<String>,
    accepted: Accepted,
    problems: &mut Vec<Problem>,
) {
    let is_there = |problem: &Problem| {
        let rest = problem.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    if !problems.iter().any(is_there) {
        problems.push(Problem::new(path, found.into(), accepted));
    }
}

/// Whether a text has at most so many bytes; a longer one is reported.
pub(super) fn is_short(
    path: &str,
    text: &str,
    longest: usize,
    problems: &mut Vec<Problem>,
) -> bool {
    let is_short = text.len() <= longest;
    if !is_short {
        let most = Accepted::rule(format!("at most {longest}"));
        report(path, format!("{} bytes", text.len()), most, problems);
    }
    is_short
}

/// Whether a list has at most so many items; a longer one is reported.
pub(super) fn is_short_list<T>(
    path: &str,
    items: &[T],
    most: usize,
    problems: &mut Vec<Problem>,
) -> bool {
    let is_short = items.len() <= most;
    if !is_short {
        let most = Accepted::rule(format!("at most {most}"));
        report(path, format!("{} items", items.len()), most, problems);
    }
    is_short
}
