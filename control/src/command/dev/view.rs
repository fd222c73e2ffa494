//! What `sluice dev` shows: in place in a terminal, plain lines of what happened elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sluice_filter::plan::{Node, Plan};
use sluice_filter::revision::Revision;

use super::Delivery;
use crate::command::status::{Measured, table};
use crate::envoy::metrics::{Sample, sum};
use crate::envoy::process::Envoy;
use crate::output;

/// What is shown.
pub(super) struct View {
    listen: SocketAddr,
    directory: PathBuf,
    plan: Option<Plan>,
    wanted: Revision,
    message: String,
    in_force: Option<Revision>,
    lines_drawn: usize,
    is_live: bool,
}

impl View {
    pub(super) fn new(listen: SocketAddr, directory: PathBuf) -> Self {
        let view = Self {
            listen,
            directory,
            plan: None,
            wanted: Revision::default(),
            message: String::new(),
            in_force: None,
            lines_drawn: 0,
            is_live: output::is_terminal(),
        };
        output::line(format!(
            "http://{listen}  serving {}; plain HTTP, so the cookie must be `secure: false`; Ctrl-C ends it",
            view.directory.display()
        ));
        view
    }

    pub(super) fn period(&self) -> Duration {
        if self.is_live { Duration::from_millis(500) } else { Duration::from_millis(100) }
    }

    pub(super) fn delivered(&mut self, delivery: &Delivery) {
        self.wanted = delivery.revision;
        self.plan = Some(delivery.plan.clone());
        let problems = delivery.plan.problems();
        self.say(format!("delivered revision {}", delivery.revision));
        if !delivery.plan.cookie().name.starts_with("__") {
            // Nothing to say: the cookie works over plain HTTP.
        } else if delivery.plan.cookie().attributes.is_some() {
            self.say(format!("warning: cookie {} needs HTTPS; browsers will not keep it here (cookie: {{name: sluice, secure: false}})", delivery.plan.cookie().name));
        }
        for problem in problems {
            self.say(format!("problem: {problem}"));
        }
    }

    pub(super) fn refused(&mut self, error: &anyhow::Error) {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        self.say(format!("not delivered, the last good configuration stays: {}", causes.join(": ")));
    }

    pub(super) async fn refresh(&mut self, envoy: &Envoy) {
        let Ok(samples) = envoy.admin().samples().await else {
            return;
        };
        let in_force = Revision::from_gauge(sum(&samples, "sluice_config_revision", &[]) as u64);
        if self.in_force != Some(in_force) {
            self.in_force = Some(in_force);
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
            self.message = text;
        } else {
            output::line(text);
        }
    }

    fn draw(&mut self, samples: &[Sample]) {
        let plan = self.plan.clone().unwrap_or_else(|| Plan::build(&Default::default(), &Node::default(), None));
        let measured = Measured::of(samples);
        let state = match self.in_force {
            Some(revision) if revision == self.wanted => format!("envoy runs it ({revision})"),
            Some(revision) => format!("envoy runs {revision}, wanted {}", self.wanted),
            None => "envoy has not said".to_owned(),
        };
        let text = format!(
            "{}\n{state}; cookies issued: {}\n{}\n",
            table(&plan, &measured),
            sum(samples, "sluice_assignments_total", &[]),
            self.message
        );
        let up = if self.lines_drawn > 0 { format!("\x1b[{}A\x1b[J", self.lines_drawn) } else { String::new() };
        self.lines_drawn = text.lines().count() + 1;
        output::line(format!("{up}{text}"));
        let _ = self.listen;
    }
}
