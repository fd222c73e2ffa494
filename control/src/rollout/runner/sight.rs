//! What a Rollout that is run sees before each turn: its split, its proxies, a round of its analysis,
//! windows and gates, commands and other Rollouts.
//!
//! Proxies and sources may take their time. Meanwhile it is looked for what ends or pauses a run, so
//! that nobody who hangs holds that up.

use jiff::Timestamp;

use super::glance::Glance;
use super::{BREATH, Runner};
use crate::rollout::analysis::Judged;
use crate::rollout::analysis::plan::Plan;
use crate::rollout::commands::to_obey;
use crate::rollout::engine::{RoundDue, Wants};
use crate::rollout::entry::Asking;
use crate::rollout::ground::{Followed, Ground};
use crate::rollout::look::{Looked, look};
use crate::rollout::peers::peers;
use crate::rollout::resource::Before;
use crate::rollout::sources::Source;
use crate::rollout::status::{Run, Stage};
use crate::rollout::watch::Watched;
use crate::rollout::workload::seen::WorkloadSeen;
use crate::rollout::workload::services;
use crate::rollout::world::{Forward, SplitSeen, World};

impl<G: Ground> Runner<G> {
    /// What there is to see, as far as it matters now.
    pub(super) async fn world(
        &mut self,
        wants: &Wants,
        glance: &mut Glance,
        now: Timestamp,
        workload: Option<WorkloadSeen>,
    ) -> World {
        let is_called = self.is_called();
        let (followed, round) = match is_called {
            // The engine goes by that alone.
            true => (Followed::not_asked(), None),
            false => self.asked_in_time(wants, glance, now).await,
        };
        let forward = match wants.entry.filter(|_| !is_called) {
            Some(before) => self.forward(before, now).await,
            None => Forward::Open,
        };
        let others = self.ground.others().unwrap_or_default();
        World {
            now,
            split: glance.looked.seen.clone(),
            proxies: followed.seen,
            tripped: followed.tripped,
            reached: followed.reached,
            round,
            forward,
            // What cannot be read asks for nothing; a rollback does not wait for it.
            commands: self.ground.commands().unwrap_or_default(),
            peers: peers(&self.summary(), &self.status, &others),
            failure: self.failure.take(),
            workload,
            services: services::Seen::default(),
        }
    }

    /// What proxies and the analysis say, until somebody calls.
    async fn asked_in_time(
        &mut self,
        wants: &Wants,
        glance: &mut Glance,
        now: Timestamp,
    ) -> (Followed, Option<Judged>) {
        // Secrets that were refused may be others meanwhile.
        let source = self.source.take().filter(|source| !source.was_denied());
        let asked = async {
            match self.ground.claimed(&glance.looked).await {
                // The run ends by it, whatever anybody else says.
                Some(tripped) => (Followed::tripped(tripped), (None, source)),
                None => self.asked(wants, glance, now, source).await,
            }
        };
        tokio::select! {
            biased;
            (followed, (round, source)) = asked => {
                self.source = source;
                (followed, round)
            }
            // Whoever hangs is left alone: the source is made anew.
            () = self.urgent() => (Followed::not_asked(), None),
        }
    }

    /// What proxies and the analysis say, which may take its time.
    async fn asked(
        &self,
        wants: &Wants,
        glance: &mut Glance,
        now: Timestamp,
        source: Option<Source>,
    ) -> (Followed, (Option<Judged>, Option<Source>)) {
        let (known, looked) = (glance.followed(), &glance.looked);
        let is_new = known.is_none();
        let followed = async {
            match (wants.proxies, known) {
                (false, _) => Followed::not_asked(),
                (true, Some(known)) => known,
                (true, None) => self.ground.proxies(looked).await,
            }
        };
        let round = async {
            match wants.round {
                Some(due) => self.round(looked, due, now, source).await,
                None => (None, source),
            }
        };
        let asked = tokio::join!(followed, round);
        if wants.proxies && is_new {
            glance.note(&asked.0);
        }
        asked
    }

    /// Whether a command is to be obeyed, or another one of the group failed: for that neither
    /// proxies nor an analysis are needed.
    fn is_called(&self) -> bool {
        let commands = self.ground.commands().unwrap_or_default();
        let mut to_obey = to_obey(&commands, self.status.handled_command);
        to_obey.next().is_some() || (self.going_on().is_some() && self.has_failed_with_others())
    }

    fn has_failed_with_others(&self) -> bool {
        let others = self.ground.others().unwrap_or_default();
        let peers = peers(&self.summary(), &self.status, &others);
        peers.failed.is_some()
    }

    /// The run, unless it goes back or is over.
    fn going_on(&self) -> Option<&Run> {
        let run = self.status.run.as_ref();
        run.filter(|run| !matches!(run.stage, Stage::GoingBack | Stage::Over))
    }

    /// Waits until something ends or pauses the run that needs neither proxies nor an analysis. A
    /// run that goes back ends with its proxies alone.
    async fn urgent(&self) {
        let Some(run) = self.going_on() else {
            return std::future::pending().await;
        };
        let mut looks: u32 = 0;
        loop {
            tokio::time::sleep(BREATH).await;
            looks = looks.wrapping_add(1);
            // The store is looked at each second, since that may be a request.
            let is_aborted = looks.is_multiple_of(10) && self.is_aborted(run).await;
            // The next look begins with those proxies.
            let is_claimed = self.ground.is_claimed();
            if self.is_called() || is_aborted || is_claimed {
                return;
            }
        }
    }

    async fn is_aborted(&self, run: &Run) -> bool {
        let subject = self.subject();
        match look(self.ground.store(), &subject).await.seen {
            SplitSeen::Seen(seen) => run.abort_since(&seen).is_some(),
            SplitSeen::Unknown { .. } | SplitSeen::Missing { .. } => false,
        }
    }

    /// A round of the analysis, where there is a split to observe, and the source for the next.
    async fn round(
        &self,
        looked: &Looked,
        due: RoundDue,
        now: Timestamp,
        source: Option<Source>,
    ) -> (Option<Judged>, Option<Source>) {
        let (Some(analysis), Some(run)) = (&self.definition.analysis, &self.status.run) else {
            return (None, source);
        };
        let (Some(plan), Some(variants)) = (&looked.plan, &looked.variants) else {
            return (None, source);
        };
        let Some(split) = plan.split_named(&run.split) else {
            return (None, source);
        };
        let source = match source {
            Some(source) => Ok(source),
            None => self.made_source(analysis).await,
        };
        let watched = Watched {
            definition: &self.definition,
            run,
            plugin: self.ground.plugin(),
            plugin_names: self.ground.plugin_names(),
            plan,
            split,
            variants,
        };
        match source {
            Ok(mut source) => {
                let round = watched.round(analysis, Ok(&mut source), due, now).await;
                (Some(round), Some(source))
            }
            Err(why) => (
                Some(watched.round(analysis, Err(why), due, now).await),
                None,
            ),
        }
    }

    async fn made_source(&self, analysis: &Plan) -> Result<Source, String> {
        let Some(server) = &analysis.prometheus else {
            return self.ground.own_source();
        };
        let client = self.ground.client(server).await;
        let client = client.map_err(|error| format!("{error:#}"))?;
        Ok(Source::of_prometheus(client, analysis.istio.clone()))
    }

    /// Whether the run may go forward.
    async fn forward(&mut self, before: Before, now: Timestamp) -> Forward {
        let Some(run) = &self.status.run else {
            return Forward::Open;
        };
        let [namespace, _] = self.ground.plugin();
        let secrets = self.ground.secrets();
        let asking = Asking {
            namespace: &namespace,
            rollout: &self.name,
            definition: &self.definition,
            run,
            before,
            now,
            outbound: &self.outbound,
            secrets: &secrets,
        };
        self.entry.forward(&asking).await
    }
}
