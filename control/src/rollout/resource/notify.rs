//! Who is told what a run does, as people write it.

use super::endpoint::Endpoint;
use super::fields::{fields, names};
use super::secrets::KeyOf;

/// The most receivers of a Rollout's messages. Chosen: each may have messages waiting in the status.
pub const MAX_RECEIVERS: usize = 8;

fields! {
    /// A receiver of messages: one of slack, weCom, webhook.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Notify, accepted as "a receiver" {
        /// An incoming webhook of Slack.
        "slack" => slack: Option<Robot>,
        /// A group robot of WeCom.
        "weCom" => we_com: Option<Robot>,
        /// A server of your own, by the Standard Webhooks specification.
        "webhook" => webhook: Option<Webhook>,
        /// What it is told. Default: everything but stepped.
        #[schemars(length(max = 12))]
        "on" => on: Option<Vec<Event>>,
    }
}

fields! {
    /// Where the URL of a chat's webhook is; whoever has it may write there.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Robot, accepted as "a map of secretRef, urlFile or urlEnv" {
        /// The key of a Secret that holds the URL. Default key: url.
        "secretRef" => secret_ref: Option<KeyOf>,
        /// A file that holds the URL; only where no controller runs the Rollout.
        #[schemars(length(max = 4096))]
        "urlFile" => url_file: Option<String>,
        /// A variable of the environment that holds the URL; as urlFile.
        #[schemars(length(max = 128))]
        "urlEnv" => url_env: Option<String>,
    }
}

fields! {
    /// A server that gets each event as JSON, with a signature.
    #[derive(Default)]
    #[schemars(default)]
    pub struct Webhook, accepted as "a map" {
        /// The URL.
        "url" => url: Option<Endpoint>,
        /// The key of a Secret that holds the URL. Default key: url.
        "secretRef" => secret_ref: Option<KeyOf>,
        /// A file that holds the URL; only where no controller runs the Rollout.
        #[schemars(length(max = 4096))]
        "urlFile" => url_file: Option<String>,
        /// A variable of the environment that holds the URL; as urlFile.
        #[schemars(length(max = 128))]
        "urlEnv" => url_env: Option<String>,
        /// The key of a Secret that holds what messages are signed with. Default key: secret.
        "signingSecretRef" => signing_secret_ref: Option<KeyOf>,
        /// A file that holds what messages are signed with; as urlFile.
        #[schemars(length(max = 4096))]
        "signingSecretFile" => signing_secret_file: Option<String>,
        /// A variable of the environment that holds what messages are signed with; as urlFile.
        #[schemars(length(max = 128))]
        "signingSecretEnv" => signing_secret_env: Option<String>,
    }
}

names! {
    /// What a run does.
    pub enum Event, accepted as "an event" {
        /// A run has begun.
        "started" => Started,
        /// A step's weight was set.
        "stepped" => Stepped,
        /// The run waits until somebody resumes it.
        "paused" => Paused,
        /// The run goes on after a pause.
        "resumed" => Resumed,
        /// The run cannot begin, or go on, as things are.
        "blocked" => Blocked,
        /// The run waits for an approval.
        "waiting" => Waiting,
        /// The analysis failed, and the challenger's weights are 0.
        "rolledBack" => RolledBack,
        /// Somebody ended the run, and the challenger's weights are 0.
        "aborted" => Aborted,
        /// Another version came before the run's end.
        "superseded" => Superseded,
        /// The run has ended at its last step.
        "succeeded" => Succeeded,
        /// Something that the run had to do cannot be done, such as a rollback that is not followed.
        "failed" => Failed,
    }
}
