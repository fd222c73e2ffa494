//! What `sluice dev` shows: in place in a terminal, plain lines of what happened elsewhere.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sluice_core::plan::{Node, Plan};
use sluice_core::revision::Revision;

use super::delivery::Delivery;
use crate::command::output;
use crate::command::weights_table::weights_table;
use crate::local::metrics::{Sample, sum};
use crate::local::process::Envoy;
use crate::operations::status::measured::{Measured, rows};
use crate::operations::status::observed::{Gauge, UsersSeen, braked, tripped};

/// What is shown.
pub(super) struct View {
    plan: Option<Plan>,
    wanted: Revision,
    messages: Vec<String>,
    in_force: Option<Revision>,
    /// What had been counted when Envoy took the configuration in force: shares are of what came
    /// since.
    counted_before: Measured,
    title: String,
    is_live: bool,
}

impl View {
    pub(super) fn new(listen: SocketAddr, directory: &Path, adapter: &str) -> Self {
        let title = format!(
            "http://{listen}  serving {} with {adapter}; plain HTTP, so the cookie must be `secure: false`; Ctrl-C ends it",
            directory.display()
        );
        output::line(&title);
        Self {
            title,
            plan: None,
            wanted: Revision::default(),
            messages: Vec::new(),
            in_force: None,
            counted_before: Measured::default(),
            is_live: output::is_terminal(),
        }
    }

    pub(super) fn period(&self) -> Duration {
        if self.is_live {
            Duration::from_millis(500)
        } else {
            Duration::from_millis(100)
        }
    }

    pub(super) fn delivered(&mut self, delivery: &Delivery) {
        self.wanted = delivery.plan.revision();
        self.plan = Some(delivery.plan.clone());
        self.messages.clear();
        self.say(format!("delivered revision {}", delivery.plan.revision()));
        let cookie = delivery.plan.cookie();
        if cookie
            .attributes
            .as_ref()
            .is_some_and(|attributes| attributes.contains("; Secure"))
        {
            let hint = "browsers will not keep it here (cookie: {name: sluice, secure: false})";
            self.say(format!(
                "warning: cookie {} needs HTTPS; {hint}",
                cookie.name
            ));
        }
        for problem in delivery.plan.problems() {
            self.say(format!("problem: {problem}"));
        }
    }

    pub(super) fn refused(&mut self, error: &anyhow::Error) {
        self.messages.clear();
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        self.say(format!(
            "not delivered, the last good configuration stays: {}",
            causes.join(": ")
        ));
    }

    pub(super) async fn refresh(&mut self, envoy: &Envoy) {
        let Ok(samples) = envoy.admin().samples().await else {
            return;
        };
        let in_force = Revision::from_gauge(sum(&samples, "sluice_config_revision", &[]) as u64);
        if self.in_force != Some(in_force) {
            self.in_force = Some(in_force);
            self.counted_before = Measured::of(&samples);
            if !self.is_live {
                output::line(format!("envoy runs revision {in_force}"));
            }
        }
        if self.is_live {
            self.draw(&samples);
        }
    }

    pub(super) fn end(&self) {
        output::line("ended");
    }

    fn say(&mut self, text: String) {
        if self.is_live {
            self.messages.push(text);
        } else {
            output::line(text);
        }
    }

    fn draw(&mut self, samples: &[Sample]) {
        let plan = self
            .plan
            .clone()
            .unwrap_or_else(|| Plan::build(&Default::default(), &Node::default(), None));
        let measured = Measured::of(samples).since(&self.counted_before);
        let gauges: Vec<Gauge<'_>> = samples.iter().map(Gauge::of_sample).collect();
        let users = UsersSeen::joined(&plan, &gauges);
        let tripped: String = tripped(&plan, &gauges)
            .iter()
            .map(|tripped| format!("tripped: {tripped}\n"))
            .collect();
        let braked: String = braked(&plan, &gauges)
            .iter()
            .map(|braked| format!("braked: {braked}\n"))
            .collect();
        let state = match self.in_force {
            Some(revision) if revision == self.wanted => format!("envoy runs it ({revision})"),
            Some(revision) => format!("envoy runs {revision}, wanted {}", self.wanted),
            None => "envoy has not said".to_owned(),
        };
        let text = format!(
            "{}\n{state}; measured since it does; cookies issued: {}\n{tripped}{braked}{}\n",
            weights_table(&rows(&plan, Some(&measured), Some(&users))),
            sum(samples, "sluice_assignments_total", &[]),
            self.messages.join("\n")
        );
        // The whole screen: lines that the terminal wraps make "up by so many lines" wrong.
        output::refresh();
        output::line(format!("{}\n{text}", self.title));
    }
}
