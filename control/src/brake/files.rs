//! How many files this process may have open at once: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises what the process may have to what it is allowed to raise it to, which container runtimes
/// leave at 1,024 of many; how many that is.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where that is refused, it goes on with what it has.
    let _ = setrlimit(Resource::Nofile, most);
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_allowed_is_used() {
        let files = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        let current = limit.current.map(|files| usize::try_from(files).unwrap());
        assert_eq!(files, current.unwrap_or(usize::MAX));
    }
}
