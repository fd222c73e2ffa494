//! What an image's name says of the pods that run it: `REPOSITORY:VERSION`, where the repository's
//! last part is what becomes of them.

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs and answers: `ok`, and every name that is none of the others.
    Runs,
    /// It runs and answers, and its readiness probe fails for ever: `never-ready`.
    NeverReady,
    /// Its image cannot be pulled: `bad-pull`.
    BadPull,
    /// It ends as soon as it has begun, again and again: `crash`.
    Crashes,
    /// No node has room for it: `unschedulable`.
    Unschedulable,
    /// It is a program of the host: `sluice`.
    Program,
    /// The host's interpreter runs its script: `python`.
    Script,
}

/// An image's fate, and the version that its servers answer with.
pub(super) fn read(image: &str) -> (Fate, &str) {
    let (repository, version) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let name = repository.rsplit('/').next().unwrap_or_default();
    let fate = match name {
        "never-ready" => Fate::NeverReady,
        "bad-pull" => Fate::BadPull,
        "crash" => Fate::Crashes,
        "unschedulable" => Fate::Unschedulable,
        "sluice" => Fate::Program,
        "python" => Fate::Script,
        _ => Fate::Runs,
    };
    (fate, version)
}
