//! Who is asked before a run goes forward, as people write it.

use super::endpoint::Endpoint;
use super::fields::{fields, names};
use super::secrets::KeyOf;
use super::units::Span;

/// The most gates of a Rollout. Chosen: each may take seconds, before each step.
pub const MAX_GATES: usize = 8;

fields! {
    /// A server that is asked whether a run may go forward.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Gate, accepted as "a gate" {
        /// The server's URL. It is asked by POST; an answer of class 2xx lets the run go forward.
        "webhook" => webhook: Option<Endpoint>,
        /// What it is asked about. Default: step.
        "before" => before: Before,
        /// How long an answer may take, 100ms to 30s. Default: 10s.
        "timeout" => timeout: Option<Span>,
        /// The key of a Secret that holds a bearer token. Default key: token.
        "bearerTokenFrom" => bearer_token_from: Option<KeyOf>,
        /// A file that holds a bearer token; only where no controller runs the Rollout.
        #[schemars(length(max = 4096))]
        "bearerTokenFile" => bearer_token_file: Option<String>,
        /// A variable of the environment that holds a bearer token; as bearerTokenFile.
        #[schemars(length(max = 128))]
        "bearerTokenEnv" => bearer_token_env: Option<String>,
    }
}

names! {
    /// What a gate is asked about.
    #[derive(Default)]
    pub enum Before, accepted as "what a gate is asked about" {
        /// Whether a run may begin.
        "start" => Start,
        /// Whether a step's weight may be set, the first one's too.
        #[default]
        "step" => Step,
        /// Whether the last step may end.
        "finish" => Finish,
    }
}
