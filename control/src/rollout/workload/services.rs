//! The two Services of those who do not route by a header: which they are, what a host saw of them, and
//! what is done to one. Data, and the check of what is written.
//!
//! The active Service has the pods of the variant that serves everyone, the preview Service those of
//! the challenger. [`next`] says what each is to have, [`kept`] what is remembered of that;
//! `selectors` reads and sets them. One key of a selector is set, and nothing else of a Service.

pub mod kept;
pub mod next;

use std::fmt;

use serde::{Deserialize, Serialize};
use sluice_core::allocation::Percent;
use sluice_core::problem::{Accepted, Problem};

use crate::model::object_names::is_label;
use crate::model::selected_service::MAX_SERVICE_NAME_BYTES;
use crate::rollout::resource;

/// Which of a Rollout's Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one whose clients everybody else is.
    Active,
    /// The one in which the challenger is looked at before.
    Preview,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Active, Self::Preview];
}

/// Whose pods a Service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selected {
    /// Those of both variants: its selector names none.
    Both,
    /// The fallback's.
    Fallback,
    /// The challenger's.
    Challenger,
}

/// One thing for each of the Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfEach<T> {
    /// For the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<T>,
    /// For the preview one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<T>,
}

impl<T> Default for OfEach<T> {
    fn default() -> Self {
        Self {
            active: None,
            preview: None,
        }
    }
}

impl<T> OfEach<T> {
    /// What there is for one of them.
    pub const fn of(&self, role: Role) -> Option<&T> {
        match role {
            Role::Active => self.active.as_ref(),
            Role::Preview => self.preview.as_ref(),
        }
    }

    /// The same, to be changed.
    pub const fn of_mut(&mut self, role: Role) -> &mut Option<T> {
        match role {
            Role::Active => &mut self.active,
            Role::Preview => &mut self.preview,
        }
    }

    /// Whether there is anything for either.
    pub const fn is_empty(&self) -> bool {
        self.active.is_none() && self.preview.is_none()
    }
}

/// Their names, as far as they are written.
pub type Names = OfEach<String>;

/// What a host saw of them; `None`: it did not look.
pub type Seen = OfEach<ServiceSeen>;

/// What a host saw of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSeen {
    /// Its name.
    pub name: String,
    /// What it is.
    pub state: State,
}

/// What a Service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It could not be read; why, in a sentence.
    Unread(String),
    /// It is not there, or none that could have either variant's pods; why, in a sentence.
    Wrong(String),
    /// It is there.
    There(There),
}

/// A Service that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct There {
    /// Whose pods it is to have by its selector.
    pub selects: Selected,
    /// Whether this Rollout set that.
    pub is_ours: bool,
    /// Why its endpoints are not known to be those pods, in a sentence; `None`: they are.
    pub unfollowed: Option<String>,
    /// What a person must mend before it is set, in a sentence.
    pub mistake: Option<String>,
}

/// What is done to one. A repetition changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which.
    pub role: Role,
    /// Its name.
    pub service: String,
    /// Whose pods it is to have.
    pub to: Selected,
}

/// As in `Service web-active is to have the pods of the fallback`.
impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.to {
            Selected::Both => "both variants",
            Selected::Fallback => "the fallback",
            Selected::Challenger => "the challenger",
        };
        write!(
            formatter,
            "Service {} is to have the pods of {whose}",
            self.service
        )
    }
}

/// Checks the names, at the workload's `path`, with the weights of everybody at the steps.
pub fn named(
    path: &str,
    written: &resource::Workload,
    everyone: impl IntoIterator<Item = Percent>,
    problems: &mut Vec<Problem>,
) -> Names {
    let names = Names {
        active: written.active_service.clone(),
        preview: written.preview_service.clone(),
    };
    let mut everyone = everyone.into_iter();
    let part = everyone.find(|weight| *weight != Percent::ZERO && *weight != Percent::HUNDRED);
    for role in Role::ALL {
        let Some(name) = names.of(role) else { continue };
        let path = match role {
            Role::Active => format!("{path}.activeService"),
            Role::Preview => format!("{path}.previewService"),
        };
        if !is_label(name) || name.len() > MAX_SERVICE_NAME_BYTES {
            let accepted = format!("a Service's name, of at most {MAX_SERVICE_NAME_BYTES} bytes");
            problems.push(Problem::new(
                path,
                format!("{name:.80?}"),
                Accepted::value(accepted),
            ));
        } else if let Some(part) = part {
            let accepted = "a Service has the pods of one version: each step gives everyone 0 or 100 %, as those of the \
                            preset blueGreen do";
            let found = format!("given, and a step with {part} %");
            problems.push(Problem::new(path, found, Accepted::rule(accepted)));
        } else if role == Role::Preview && names.active.as_ref() == Some(name) {
            let accepted = Accepted::rule("it is another Service than activeService");
            problems.push(Problem::new(path, format!("{name:?}"), accepted));
        }
    }
    names
}
