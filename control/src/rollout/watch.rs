//! One round of a run's analysis: whom it observes, what the source says, what is made of it.

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use sluice_core::index::VariantIndex;
use sluice_core::plan::Split;

use super::analysis::plan::{Auth, Certificate, Plan, Prometheus, Subject};
use super::analysis::{self, Context, Exposures, Judged, Memory};
use super::definition::Definition;
use super::engine::RoundDue;
use super::look::Variants;
use super::observation::{Observation, Reading};
use super::secrets::{SecretReader, Shape};
use super::sources::{Round, Source, Target};
use super::status::Run;
use crate::cluster::prometheus::{self, Access, Credentials, Trust};
use crate::model::churn::audiences;

/// Whom a round is about.
pub struct Watched<'w> {
    /// What the Rollout wants.
    pub definition: &'w Definition,
    /// Its run.
    pub run: &'w Run,
    /// The plugin's namespace and name; empty of a directory.
    pub plugin: [String; 2],
    /// What the filter's metrics call it.
    pub plugin_names: Vec<String>,
    /// The filter's plan now.
    pub plan: &'w sluice_core::plan::Plan,
    /// The split in it.
    pub split: &'w Split,
    /// Its variants.
    pub variants: &'w Variants,
}

impl Watched<'_> {
    /// Makes a round: observes and judges.
    pub async fn round(
        &self,
        analysis: &Plan,
        source: Result<&mut Source, String>,
        due: RoundDue,
        now: Timestamp,
    ) -> Judged {
        let observation = match source {
            Ok(source) => self.observe(analysis, source, due, now).await,
            Err(why) => unobserved(analysis, &why, due, now),
        };
        let context = Context {
            plan: analysis,
            step: self.run.step_in_force(),
            steps: self.definition.steps.len(),
            exposures: self.exposures(),
        };
        analysis::judge(context, &self.run.analysis, &observation)
    }

    async fn observe(
        &self,
        analysis: &Plan,
        source: &mut Source,
        due: RoundDue,
        now: Timestamp,
    ) -> Observation {
        let checks = due_checks(analysis, &self.run.analysis, now);
        let round = Round {
            at: now,
            converged: due.converged,
            since: due.last,
            plan: self.plan,
            checks: &checks,
            window: analysis.window,
            interval: analysis.interval,
        };
        source.observe(&self.target(), &round).await.observation
    }

    fn target(&self) -> Target {
        let [namespace, plugin] = self.plugin.clone();
        Target {
            namespace,
            plugin,
            split: self.run.split.clone(),
            audience: self.audience().to_owned(),
            challenger: self.variants.challenger.clone(),
            fallback: self.variants.fallback.clone(),
            version: self.run.version.clone(),
            plugin_names: self.plugin_names.clone(),
        }
    }

    /// Whose weight the step moved.
    fn audience(&self) -> &str {
        let step = self.definition.steps.get(self.run.step_in_force());
        step.map_or("", |step| &step.audience)
    }

    /// The parts of the audience's users that the two variants have.
    fn exposures(&self) -> Exposures {
        let audience = self.audience();
        let mut rules = audiences(self.split).into_iter();
        let rule = rules.find(|(name, _)| name == audience);
        let allocation = self.split.allocation(rule.and_then(|(_, rule)| rule));
        let mut named = self.split.definition.named_variants();
        let challenger = named.find(|(_, name)| *name == self.variants.challenger);
        let share = |index| allocation.share(index).as_f64() / 100.0;
        Exposures {
            challenger: challenger.map_or(0.0, |(index, _)| share(index)),
            fallback: share(VariantIndex::FALLBACK),
        }
    }
}

/// Every check but the queries whose own interval is not over.
fn due_checks<'p>(
    analysis: &'p Plan,
    memory: &Memory,
    now: Timestamp,
) -> Vec<&'p analysis::plan::Check> {
    let due: Vec<&str> = analysis::due(analysis, memory, now)
        .map(|(check, _)| check.name.as_str())
        .collect();
    let is_due = |check: &&analysis::plan::Check| {
        !matches!(check.subject, Subject::Query(_)) || due.contains(&check.name.as_str())
    };
    analysis.checks.iter().filter(is_due).collect()
}

/// What a round has where the source cannot even be asked.
fn unobserved(analysis: &Plan, why: &str, due: RoundDue, now: Timestamp) -> Observation {
    let queries = analysis.checks.iter();
    let queries = queries.filter(|check| matches!(check.subject, Subject::Query(_)));
    let error =
        |check: &analysis::plan::Check| (check.name.clone(), Reading::Error(why.to_owned()));
    Observation {
        at: now,
        since: due.last,
        arms: Reading::Error(why.to_owned()),
        queries: queries.map(error).collect(),
    }
}

/// The client of a Prometheus, with what its secrets say now.
///
/// # Errors
/// A secret that cannot be read, or is none.
pub async fn client(
    server: &Prometheus,
    secrets: &dyn SecretReader,
) -> anyhow::Result<prometheus::Prometheus> {
    let credentials = match &server.auth {
        Auth::Anonymous => None,
        Auth::Bearer(place) => {
            let token = secrets.read(place, Shape::Line).await?;
            Some(Credentials::Bearer(token))
        }
        Auth::Basic { username, password } => Some(Credentials::Basic {
            user: username.clone(),
            password: secrets.read(password, Shape::Line).await?,
        }),
    };
    let trust = match (&server.certificate, &server.authorities) {
        (Certificate::Ignored, _) => Trust::Unverified,
        (Certificate::Verified, None) => Trust::System,
        (Certificate::Verified, Some(place)) => {
            let authorities = secrets.read(place, Shape::Text).await?;
            Trust::Authorities(authorities.expose_secret().as_bytes().to_vec())
        }
    };
    let access = Access {
        credentials,
        trust,
        timeout: server.timeout,
    };
    Ok(prometheus::Prometheus::with(
        server.address.as_str(),
        access,
    )?)
}
