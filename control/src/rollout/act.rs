//! Doing what the engine wants, by the operations that the command line uses.

use super::engine::Action;
use super::look::{Looked, Subject, Variants};
use super::world::Failure;
use crate::model::reach::Reach;
use crate::model::weights::Share;
use crate::operations::abort::{Abort, abort};
use crate::operations::change::{Mode, Terms};
use crate::operations::set::{Basis, Setting, set_on};
use crate::operations::{Caller, OperationError};
use crate::store::{OthersFields, Store, WriteError};

/// Does it, on what was seen; a repetition changes nothing.
///
/// # Errors
/// Why it was not done, or not in force.
pub async fn act(
    store: &impl Store,
    caller: &Caller,
    subject: &Subject,
    reason: &str,
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
            let terms = terms(reason);
            let made = set_on(store, caller, &setting, &terms, basis).await;
            made.map(|_| ()).map_err(failure)
        }
        (Action::Set { .. }, None) => Err(Failure::Passing("the split was not seen".to_owned())),
        (Action::TakeBack { why }, variants) => {
            take_back(store, caller, subject, variants.as_ref(), why).await
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

/// Takes back what the run moved; where the split cannot be read, all of it.
async fn take_back(
    store: &impl Store,
    caller: &Caller,
    subject: &Subject,
    variants: Option<&Variants>,
    why: &str,
) -> Result<(), Failure> {
    let challenger = subject.challenger.clone();
    let challenger = challenger.or_else(|| variants.map(|variants| variants.challenger.clone()));
    let order = Abort {
        reach: Reach {
            audiences: challenger.is_some().then(|| subject.audiences.clone()),
            challenger,
            ..Reach::of_split(&subject.split)
        },
        reason: Some(why.to_owned()),
    };
    match abort(store, caller, &order).await {
        Ok(aborted) => match aborted.not_in_force {
            None => Ok(()),
            Some(why) => Err(Failure::Passing(format!("NOT IN FORCE: {why}"))),
        },
        Err(error) => Err(failure(error)),
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
