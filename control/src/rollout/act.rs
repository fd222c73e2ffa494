//! Doing what the engine wants, by the operations that the command line uses.

use super::engine::Action;
use super::look::{Looked, Subject};
use super::world::Failure;
use crate::brake::abort::{self as both, abort};
use crate::brake::pull::{Given, Pulled};
use crate::model::weights::Share;
use crate::operations::abort::{Abort, made};
use crate::operations::change::{Mode, Terms};
use crate::operations::set::{Basis, Setting, set_on};
use crate::operations::{Caller, OperationError};
use crate::store::{OthersFields, Store, WriteError};

/// What is said with an action.
#[derive(Clone, Copy, Debug)]
pub struct Told<'t> {
    /// Why, for the history.
    pub reason: &'t str,
    /// What tells the run from all others: its users are braked once.
    pub run: &'t str,
}

/// Does it, on what was seen; a repetition changes nothing.
///
/// # Errors
/// Why it was not done, or not in force.
pub async fn act(
    store: &impl Store,
    caller: &Caller,
    subject: &Subject,
    told: &Told<'_>,
    looked: &Looked,
    action: &Action,
) -> Result<(), Failure> {
    match (action, &looked.variants) {
        (
            Action::Set {
                audience,
                percent,
                draw,
            },
            Some(variants),
        ) => {
            let shares = [Share {
                challenger: variants.challenger.clone(),
                percent: *percent,
            }];
            let setting = Setting {
                split: &subject.split,
                audience,
                shares: &shares,
            };
            let basis = Basis {
                begun: looked.snapshot.clone(),
                draw: *draw,
            };
            let terms = terms(told.reason);
            let made = set_on(store, caller, &setting, &terms, basis).await;
            made.map(|_| ()).map_err(failure)
        }
        (Action::Workload(_) | Action::Select(_), _) => Err(Failure::Untended(
            "a store of weights has no Deployments".to_owned(),
        )),
        (Action::Set { .. }, None) => Err(Failure::Passing("the split was not seen".to_owned())),
        (Action::TakeBack { why }, _) => {
            take_back(store, caller, subject, looked, (why, told.run)).await
        }
    }
}

fn terms(reason: &str) -> Terms {
    Terms {
        mode: Mode::Write,
        others_fields: OthersFields::Respect,
        reason: Some(reason.to_owned()),
    }
}

/// Takes back what the run moved; where the split cannot be read, all of it; by the brake too, where
/// proxies ask for it. What was written before is not written again, also where no proxy obeys it.
async fn take_back(
    store: &impl Store,
    caller: &Caller,
    subject: &Subject,
    looked: &Looked,
    (why, run): (&str, &str),
) -> Result<(), Failure> {
    let mut subject = subject.clone();
    let seen = looked.variants.as_ref().map(|both| both.challenger.clone());
    subject.challenger = subject.challenger.or(seen);
    let order = Abort {
        reach: subject.reach(),
        reason: Some(why.to_owned()),
    };
    let snapshot = looked.snapshot.as_ref();
    let made = snapshot.and_then(|snapshot| made(snapshot, &order.reach));
    let in_force = match made {
        Some(in_force) => in_force,
        None => {
            let braked = abort(store, caller, &order, Some(run), both::Told::NOBODY).await;
            let aborted = braked
                .aborted
                .map_err(|error| beside(failure(error), &braked.given))?;
            aborted.not_in_force.map_or(Ok(()), Err)
        }
    };
    in_force.map_err(|why| Failure::Passing(format!("NOT IN FORCE: {why}")))
}

/// Where neither the weights were written nor the brake given, both are said.
fn beside(failure: Failure, given: &Result<Given, Pulled>) -> Failure {
    let Err(Pulled::Refused { why: refused }) = given else {
        return failure;
    };
    let both = |why: String| format!("{why}; the brake was not given: {refused}");
    match failure {
        Failure::Lasting(why) => Failure::Lasting(both(why)),
        Failure::Passing(why) | Failure::Untended(why) | Failure::Unselected(why) => {
            Failure::Passing(both(why))
        }
    }
}

/// Whether trying again may help.
fn failure(error: OperationError) -> Failure {
    let is_lasting = match &error {
        OperationError::Refused(_) => true,
        OperationError::Write(error) => matches!(error, WriteError::Conflict { .. }),
        _ => false,
    };
    let why = format!("{:#}", anyhow::Error::from(error));
    if is_lasting {
        Failure::Lasting(why)
    } else {
        Failure::Passing(why)
    }
}
