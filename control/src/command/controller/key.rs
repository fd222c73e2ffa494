//! The controller's key, where it was started with one: its listener, what writes what it braked, and
//! who is told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use kube::runtime::reflector::Store;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::log::Log;
use crate::brake::desk::Desk;
use crate::brake::key::Key;
use crate::brake::key::held::Shelf;
use crate::brake::key::listener::{FOLLOWING, Pulls, serve};
use crate::brake::key::uses::Uses;
use crate::brake::key::writing::Writer;
use crate::brake::object::Brake;
use crate::cluster::Cluster;
use crate::operations::Caller;
use crate::rollout::alarms::{Alarms, MAX_ALARMS};
use crate::rollout::logged::Occasion;
use crate::rollout::notifications::{Kind, Receiver};
use crate::rollout::outbound::Outbound;
use crate::rollout::resource::MAX_RECEIVERS;

/// The arguments.
#[derive(clap::Args, Debug)]
pub(super) struct KeyArgs {
    /// Where `sluice brake pull` asks with the controller's key [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "pull_key_file")]
    pull_listen: Option<SocketAddr>,
    /// The file with the key, read at each use
    #[arg(long, value_name = "FILE", requires = "pull_listen")]
    pull_key_file: Option<PathBuf>,
    /// Who is told of each use of the key: slack, wecom or webhook, and the file that holds its URL
    #[arg(
        long,
        value_name = "KIND=FILE,…",
        value_delimiter = ',',
        requires = "pull_listen"
    )]
    pull_notify: Vec<Told>,
}

/// Who is told.
#[derive(Clone, Debug)]
struct Told {
    kind: Kind,
    file: PathBuf,
}

impl FromStr for Told {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = || "accepted: slack=FILE, wecom=FILE or webhook=FILE".to_owned();
        let (kind, file) = text.split_once('=').ok_or_else(accepted)?;
        let kind = match kind {
            "slack" => Kind::Slack,
            "wecom" => Kind::WeCom,
            "webhook" => Kind::Webhook,
            _ => return Err(accepted()),
        };
        let file = PathBuf::from(file);
        match file == Path::new("") {
            true => Err(accepted()),
            false => Ok(Self { kind, file }),
        }
    }
}

/// What the key needs of the rest of a controller.
pub(super) struct Around {
    pub(super) cluster: Cluster,
    pub(super) namespace: Option<String>,
    pub(super) known: Store<Brake>,
    pub(super) desk: Arc<Desk>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) caller: Caller,
    pub(super) instance: String,
}

/// Begins to listen, where that is asked for; what then serves until it has ended.
pub(super) async fn listen(
    arguments: &KeyArgs,
    around: Around,
    registry: &mut Registry,
    ended: watch::Receiver<bool>,
    log: Log,
) -> anyhow::Result<Option<impl Future<Output = ()> + Send + 'static>> {
    let (Some(address), Some(key_file)) = (arguments.pull_listen, &arguments.pull_key_file) else {
        return Ok(None);
    };
    let count = arguments.pull_notify.len();
    if count > MAX_RECEIVERS {
        bail!("--pull-notify: {count} receivers; at most {MAX_RECEIVERS}");
    }
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("--pull-listen {address}"))?;
    let address = listener.local_addr()?;
    let takes = format!("takes requests with its key on {address}");
    log.say(Occasion::Listening, takes);
    if let Err(error) = Key::read(key_file) {
        let error = anyhow::Error::from(error);
        let nothing = format!("NO REQUEST WILL COUNT: --pull-key-file: {error:#}");
        log.say(Occasion::Key, nothing);
    }
    let receivers = arguments.pull_notify.iter().cloned();
    let receivers = receivers.map(|Told { kind, file }| Receiver::of_file(kind, file));
    let alarms = Alarms {
        receivers: receivers.collect(),
        // Who runs the controller has written these addresses.
        outbound: Outbound::new()?,
        clock: around.caller.clock,
    };
    let (told, uses) = mpsc::channel(MAX_ALARMS);
    let counted = Arc::new(Uses::default());
    counted.register(registry);
    let writer = Writer {
        cluster: around.cluster,
        shelf: Arc::clone(&around.shelf),
        caller: around.caller.clone(),
        instance: around.instance,
    };
    let pulls = Arc::new(Pulls {
        key_file: key_file.clone(),
        namespace: around.namespace,
        known: around.known,
        desk: around.desk,
        shelf: around.shelf,
        uses: counted,
        told,
        patience: FOLLOWING,
        clock: around.caller.clock,
        say: Arc::new(move |line: &str| log.say(Occasion::Key, line)),
    });
    Ok(Some(async move {
        tokio::select! {
            () = serve(listener, pulls, ended) => {}
            () = writer.write(move |line| log.say(Occasion::Key, line)) => {}
            () = alarms.tell(uses, move |line| log.say(Occasion::Key, line)) => {}
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_is_a_kind_and_a_file() {
        let accepted = Err("accepted: slack=FILE, wecom=FILE or webhook=FILE".to_owned());
        let cases = [
            ("slack=/a/b", Ok((Kind::Slack, "/a/b"))),
            ("wecom=c", Ok((Kind::WeCom, "c"))),
            ("webhook=a=b", Ok((Kind::Webhook, "a=b"))),
            ("slack=", accepted.clone()),
            ("https://hooks.slack.com/s3cret", accepted.clone()),
            ("mail=a", accepted),
        ];
        for (text, expected) in cases {
            let told = text.parse::<Told>().map(|told| (told.kind, told.file));
            let expected = expected.map(|(kind, file)| (kind, PathBuf::from(file)));
            assert_eq!(told, expected, "{text}");
        }
    }
}
