//! The Prometheus servers that Rollouts name, a client each: Rollouts of a namespace that name the
//! same one share it, and with it what it answered just now.
//!
//! Secrets are read when a client is made, and again when the server has refused what they said.

use parking_lot::Mutex;

use crate::cluster::prometheus::Prometheus;
use crate::rollout::analysis::plan;
use crate::rollout::secrets::SecretReader;
use crate::rollout::watch;

/// The most servers whose clients are shared. Chosen: a few for each of some teams.
const MAX_SHARED_SERVERS: usize = 64;

/// The clients that somebody has.
#[derive(Debug, Default)]
pub(super) struct Servers(Mutex<Vec<Server>>);

#[derive(Debug)]
struct Server {
    /// Whose Secrets were read for it.
    namespace: String,
    named: plan::Prometheus,
    client: Prometheus,
}

impl Servers {
    /// A client for a server that a Rollout of a namespace names.
    ///
    /// # Errors
    /// A secret that cannot be read, or is none.
    pub(super) async fn client(
        &self,
        namespace: &str,
        named: &plan::Prometheus,
        secrets: &dyn SecretReader,
    ) -> anyhow::Result<Prometheus> {
        if let Some(client) = self.shared(namespace, named) {
            return Ok(client);
        }
        let client = watch::client(named, secrets).await?;
        // Another one may have been faster.
        if let Some(shared) = self.shared(namespace, named) {
            return Ok(shared);
        }
        let mut servers = self.0.lock();
        if servers.len() < MAX_SHARED_SERVERS {
            servers.push(Server {
                namespace: namespace.to_owned(),
                named: named.clone(),
                client: client.clone(),
            });
        }
        Ok(client)
    }

    fn shared(&self, namespace: &str, named: &plan::Prometheus) -> Option<Prometheus> {
        let mut servers = self.0.lock();
        servers.retain(|server| server.client.is_shared() && !server.client.was_denied());
        let mut servers = servers.iter();
        let found = servers.find(|server| server.namespace == namespace && server.named == *named);
        found.map(|server| server.client.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::future::BoxFuture;
    use secrecy::SecretString;

    use super::*;
    use crate::rollout::analysis::plan::{Auth, Certificate};
    use crate::rollout::outbound::receiver::{Does, Server as Stub};
    use crate::rollout::secrets::{Place, SecretError, Shape};

    /// Gives each reader another token.
    #[derive(Default)]
    struct Rotating(AtomicUsize);

    impl SecretReader for Rotating {
        fn read<'a>(
            &'a self,
            _: &'a Place,
            _: Shape,
        ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(Ok(format!("token-{number}").into())))
        }
    }

    fn named(stub: &Stub) -> plan::Prometheus {
        plan::Prometheus {
            address: stub.url("").parse().unwrap(),
            auth: Auth::Bearer(Place::File("token".into())),
            authorities: None,
            certificate: Certificate::Verified,
            timeout: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn a_namespace_shares_a_client_until_its_secret_is_refused() {
        let refusal = Does::Answers(401, "", String::new());
        let answer = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let answer = Does::Answers(200, "", answer.to_owned());
        let stub = Stub::that(&[refusal, answer]).await;
        let (servers, secrets, named) = (Servers::default(), Rotating::default(), named(&stub));
        let client = async |namespace: &str| {
            let client = servers.client(namespace, &named, &secrets).await;
            client.unwrap()
        };
        let first = client("shop").await;
        let same = client("shop").await;
        let _others = client("other").await;
        assert_eq!(secrets.0.load(Ordering::Relaxed), 2);
        first.query("up").await.unwrap_err();
        assert!(same.was_denied());
        assert!(client("shop").await.query("up").await.unwrap().is_empty());
        let sent = stub.received();
        let sent: Vec<_> = sent.iter().map(|one| one.header("authorization")).collect();
        assert_eq!(sent, [Some("Bearer token-0"), Some("Bearer token-2")]);
    }

    #[tokio::test]
    async fn clients_that_nobody_has_are_forgotten() {
        let stub = Stub::that(&[Does::Waits]).await;
        let (servers, secrets, named) = (Servers::default(), Rotating::default(), named(&stub));
        for _ in 0..3 {
            servers.client("shop", &named, &secrets).await.unwrap();
        }
        assert_eq!(servers.0.lock().len(), 1);
        assert_eq!(secrets.0.load(Ordering::Relaxed), 3);
    }
}
