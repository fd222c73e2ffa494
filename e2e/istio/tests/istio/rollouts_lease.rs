//! The election of a leader by a Lease, with the real API server between the candidates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use sluice::rollout::lease::{Candidate, Standing, Timing};
use sluice_e2e::wait::until;
use sluice_e2e_istio::api_server::{ADMIN_TOKEN, URL};
use sluice_e2e_istio::kubernetes::Kubernetes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::world::World;

const LEASE: &str = "sluice-controller";

/// A tenth of the usual, as far as a Lease can say it.
const SHORT: Timing = Timing {
    lasts: Duration::from_secs(2),
    renews_within: Duration::from_millis(1_200),
    retries_every: Duration::from_millis(200),
};

/// The leases of namespace a, without ours.
async fn leases(world: &World) -> Api<Lease> {
    let leases: Api<Lease> = Api::namespaced(world.chain.kubernetes.client(), "a");
    let _ = leases.delete(LEASE, &DeleteParams::default()).await;
    leases
}

/// A candidate that takes part.
struct Part {
    name: &'static str,
    standing: watch::Receiver<Standing>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Part {
    fn begin(kubernetes: &Kubernetes, name: &'static str, timing: Timing) -> Self {
        let candidate = Candidate::new(kubernetes.client(), "a", LEASE, name, timing);
        let (sender, standing) = watch::channel(Standing::unknown());
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let ended = async { drop(ended.await) };
            candidate.run(&sender, ended).await;
        });
        Self {
            name,
            standing,
            end,
            task,
        }
    }

    fn leads(&self) -> bool {
        self.standing.borrow().leads_at(Instant::now())
    }

    /// Waits until it leads, and says when that was seen.
    async fn wait_until_it_leads(&mut self) -> Instant {
        let leads = self.standing.wait_for(|now| now.leads_at(Instant::now()));
        let seen = tokio::time::timeout(Duration::from_secs(60), leads).await;
        let seen = seen.unwrap_or_else(|_| panic!("{} does not lead", self.name));
        drop(seen.unwrap());
        Instant::now()
    }

    /// Waits until it knows that it does not lead, and who does.
    async fn wait_until_it_follows(&mut self, whom: &str) {
        let follows = self.standing.wait_for(
            |now| matches!(now, Standing::Waits { holder: Some(holder), .. } if holder == whom),
        );
        let seen = tokio::time::timeout(Duration::from_secs(60), follows).await;
        let seen = seen.unwrap_or_else(|_| panic!("{} does not follow {whom}", self.name));
        drop(seen.unwrap());
    }

    async fn end(self) {
        self.end.send(()).unwrap();
        self.task.await.unwrap();
    }

    /// As a process that is killed.
    fn kill(self) {
        self.task.abort();
    }
}

/// Looks all the time how many lead, and says how many at most did.
struct Watched {
    is_over: Arc<AtomicBool>,
    most: JoinHandle<usize>,
}

impl Watched {
    fn begin(candidates: &[&Part]) -> Self {
        let standings: Vec<_> = candidates.iter().map(|one| one.standing.clone()).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let most = tokio::spawn(async move {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                let now = Instant::now();
                let leads = standings.iter().filter(|one| one.borrow().leads_at(now));
                most = most.max(leads.count());
                sleep(Duration::from_millis(1)).await;
            }
            most
        });
        Self { is_over, most }
    }

    async fn most(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.most.await.unwrap()
    }
}

/// A way to the API server that can be cut: then bytes stay on the way, and nobody is told.
struct Way {
    url: String,
    is_cut: watch::Sender<bool>,
}

impl Way {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (is_cut, cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let to = TcpStream::connect(URL.trim_start_matches("https://")).await;
                let (from_read, from_write) = stream.into_split();
                let (to_read, to_write) = to.unwrap().into_split();
                tokio::spawn(pass(from_read, to_write, cut.clone()));
                tokio::spawn(pass(to_read, from_write, cut.clone()));
            }
        });
        Self { url, is_cut }
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let is_whole = cut.wait_for(|is_cut| !is_cut).await.is_ok();
        if !is_whole || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

pub async fn a_standby_leads_at_once_when_the_leader_ends(world: &mut World) {
    let leases = leases(world).await;
    let timing = Timing::default();
    let mut first = Part::begin(&world.chain.kubernetes, "first", timing);
    first.wait_until_it_leads().await;
    let mut second = Part::begin(&world.chain.kubernetes, "second", timing);
    second.wait_until_it_follows("first").await;
    let watched = Watched::begin(&[&first, &second]);
    let ends = Instant::now();
    first.end().await;
    let took = second.wait_until_it_leads().await - ends;
    println!("handed over within {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let spec = leases.get(LEASE).await.unwrap().spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("second"));
    assert_eq!(spec.lease_duration_seconds, Some(15));
    // From nobody to first, to nobody, to second.
    assert_eq!(spec.lease_transitions, Some(2));
    assert_eq!(watched.most().await, 1);
    second.end().await;
    let spec = leases.get(LEASE).await.unwrap().spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some(""));
}

pub async fn a_killed_leader_is_replaced_when_its_record_has_run_out(world: &mut World) {
    leases(world).await;
    let mut first = Part::begin(&world.chain.kubernetes, "first", SHORT);
    first.wait_until_it_leads().await;
    let mut second = Part::begin(&world.chain.kubernetes, "second", SHORT);
    second.wait_until_it_follows("first").await;
    sleep(SHORT.lasts * 2).await;
    assert!(first.leads(), "{:?}", *first.standing.borrow());
    let Standing::Leads { until } = *first.standing.borrow() else {
        panic!("it does not lead");
    };
    first.kill();
    let leads = second.wait_until_it_leads().await;
    let renewed = until - SHORT.renews_within;
    let after = leads - renewed;
    println!("replaced {after:?} after its last renewal");
    let latest = SHORT.lasts + SHORT.retries_every * 5 + Duration::from_secs(1);
    assert!((SHORT.lasts..latest).contains(&after), "{after:?}");
    second.end().await;
}

pub async fn a_leader_that_is_cut_off_stops_before_another_begins(world: &mut World) {
    leases(world).await;
    let way = Way::open().await;
    let apart = Kubernetes::new(&way.url, ADMIN_TOKEN);
    let mut first = Part::begin(&apart, "first", SHORT);
    first.wait_until_it_leads().await;
    let mut second = Part::begin(&world.chain.kubernetes, "second", SHORT);
    second.wait_until_it_follows("first").await;
    let watched = Watched::begin(&[&first, &second]);
    way.is_cut.send_replace(true);
    second.wait_until_it_leads().await;
    assert!(!first.leads());
    // What was on the way arrives now, and replaces nobody.
    way.is_cut.send_replace(false);
    first.wait_until_it_follows("second").await;
    sleep(SHORT.lasts * 2).await;
    assert!(second.leads(), "{:?}", *second.standing.borrow());
    assert_eq!(watched.most().await, 1);
    first.end().await;
    second.end().await;
}

pub async fn candidates_that_come_and_go_never_lead_at_the_same_time(world: &mut World) {
    let leases = leases(world).await;
    let mut parts = ["a", "b", "c", "d"]
        .map(|name| Part::begin(&world.chain.kubernetes, name, SHORT))
        .into_iter()
        .collect::<Vec<_>>();
    for round in 0..6 {
        let watched = Watched::begin(&parts.iter().collect::<Vec<_>>());
        until("a leader", async || {
            let leaders = parts.iter().filter(|one| one.leads()).count();
            (leaders == 1)
                .then_some(())
                .ok_or(format!("{leaders} lead"))
        })
        .await;
        let leader = parts.iter().position(Part::leads).unwrap();
        let leader = parts.remove(leader);
        let name = leader.name;
        match round % 2 {
            0 => leader.end().await,
            _ => leader.kill(),
        }
        until("another leader", async || {
            let leaders = parts.iter().filter(|one| one.leads()).count();
            (leaders == 1)
                .then_some(())
                .ok_or(format!("{leaders} lead"))
        })
        .await;
        assert_eq!(watched.most().await, 1);
        // Another process: its name is another one's.
        let name: &'static str = format!("{name}'").leak();
        parts.push(Part::begin(&world.chain.kubernetes, name, SHORT));
    }
    let spec = leases.get(LEASE).await.unwrap().spec.unwrap();
    assert!(spec.lease_transitions >= Some(6), "{spec:?}");
    for one in parts {
        one.end().await;
    }
}

pub async fn a_lease_that_others_write_or_delete_costs_the_leader_nothing(world: &mut World) {
    let leases = leases(world).await;
    let mut first = Part::begin(&world.chain.kubernetes, "first", SHORT);
    first.wait_until_it_leads().await;
    let mut second = Part::begin(&world.chain.kubernetes, "second", SHORT);
    second.wait_until_it_follows("first").await;
    for number in 0..10 {
        let note = json!({"metadata": {"annotations": {"note": number.to_string()}}});
        let parameters = PatchParams::default();
        leases
            .patch(LEASE, &parameters, &Patch::Merge(&note))
            .await
            .unwrap();
        sleep(SHORT.retries_every / 3).await;
    }
    assert!(first.leads(), "{:?}", *first.standing.borrow());
    // Whoever has seen that another leads does not take what is suddenly not there.
    let watched = Watched::begin(&[&first, &second]);
    for _ in 0..3 {
        leases
            .delete(LEASE, &DeleteParams::default())
            .await
            .unwrap();
        sleep(SHORT.lasts).await;
        assert!(first.leads(), "{:?}", *first.standing.borrow());
    }
    assert_eq!(watched.most().await, 1);
    first.end().await;
    second.end().await;
}

pub async fn a_leader_outlives_an_api_server_that_restarts_in_time(world: &mut World) {
    leases(world).await;
    let patient = Timing {
        lasts: Duration::from_secs(90),
        renews_within: Duration::from_secs(80),
        ..SHORT
    };
    let mut first = Part::begin(&world.chain.kubernetes, "first", patient);
    first.wait_until_it_leads().await;
    let mut second = Part::begin(&world.chain.kubernetes, "second", patient);
    second.wait_until_it_follows("first").await;
    let mut changes = first.standing.clone();
    let has_waited = tokio::spawn(async move {
        let waits = changes.wait_for(|now| matches!(now, Standing::Waits { .. }));
        drop(waits.await);
    });
    world.chain.kill_api_server();
    world.chain.restore().await;
    let Standing::Leads { until: former } = *first.standing.borrow() else {
        panic!("it does not lead");
    };
    until("a renewal", async || match &*first.standing.borrow() {
        Standing::Leads { until } if *until > former => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(!has_waited.is_finished(), "it led all the time");
    has_waited.abort();
    first.end().await;
    second.wait_until_it_leads().await;
    second.end().await;
}

pub async fn a_leader_without_an_api_server_stops_in_time(world: &mut World) {
    leases(world).await;
    let mut first = Part::begin(&world.chain.kubernetes, "first", SHORT);
    first.wait_until_it_leads().await;
    let mut second = Part::begin(&world.chain.kubernetes, "second", SHORT);
    second.wait_until_it_follows("first").await;
    let watched = Watched::begin(&[&first, &second]);
    world.chain.kill_api_server();
    let killed = Instant::now();
    let stops = first
        .standing
        .wait_for(|now| matches!(now, Standing::Waits { .. }));
    drop(stops.await.unwrap());
    let took = killed.elapsed();
    println!("stopped {took:?} after the API server");
    let latest = SHORT.renews_within + Duration::from_millis(500);
    assert!(took < latest, "{took:?}");
    second
        .standing
        .wait_for(|now| {
            matches!(
                now,
                Standing::Waits {
                    trouble: Some(_),
                    ..
                }
            )
        })
        .await
        .unwrap();
    world.chain.restore().await;
    until("a leader", async || match first.leads() || second.leads() {
        true => Ok(()),
        false => Err(format!("{:?}", *second.standing.borrow())),
    })
    .await;
    assert_eq!(watched.most().await, 1);
    first.end().await;
    second.end().await;
}
