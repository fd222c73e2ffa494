//! One command in several contexts at once: each by itself, in parallel, and on past those that are
//! down.
//!
//! What a command does in one context is its own; here is how many there may be, how long each may
//! take, and how results are printed: each under its context's name, as soon as it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::arguments::Format;
use super::outcome::Outcome;
use super::output::{self, Kept, Piece};

/// The most contexts of one command. Chosen: more than a company has clusters of one service; all of
/// them are asked at once.
const MAX_CONTEXTS: usize = 32;

/// How long one context may take, in seconds. Chosen: longer than an API server that is in trouble
/// is waited for anywhere else.
const MAX_CONTEXT_SECONDS: u64 = 60;

/// The format that each context is asked for: what programs read is put together as JSON.
pub(super) const fn format_of_each(format: Format) -> Format {
    match format {
        Format::Table => Format::Table,
        Format::Json | Format::Yaml => Format::Json,
    }
}

/// Runs a command in every context. Problems where one of them has some or is down.
///
/// # Errors
/// When they are too many, or one is named twice, or nothing could be done in any of them.
pub(super) async fn each<F: Future<Output = anyhow::Result<Outcome>>>(
    contexts: &[String],
    format: Format,
    run: impl Fn(&str) -> F,
) -> anyhow::Result<Outcome> {
    each_within(
        Duration::from_secs(MAX_CONTEXT_SECONDS),
        contexts,
        format,
        run,
    )
    .await
}

async fn each_within<F: Future<Output = anyhow::Result<Outcome>>>(
    patience: Duration,
    contexts: &[String],
    format: Format,
    run: impl Fn(&str) -> F,
) -> anyhow::Result<Outcome> {
    check(contexts)?;
    let works = contexts.iter().map(|context| {
        let work = run(context);
        async move {
            // The end of the time is inside, so that what was printed by then is not lost.
            let (result, kept) = output::kept(async {
                match tokio::time::timeout(patience, work).await {
                    Ok(result) => result,
                    Err(_) => Err(anyhow!(
                        "not over within {} s; what was done by then stands",
                        patience.as_secs()
                    )),
                }
            })
            .await;
            (context, result, kept)
        }
    });
    let mut works: FuturesUnordered<_> = works.collect();
    let (mut failed, mut outcome, mut values) = (0, Outcome::Good, BTreeMap::new());
    while let Some((context, result, kept)) = works.next().await {
        match &result {
            Ok(Outcome::Good) => {}
            Ok(Outcome::Problems | Outcome::Unable) => outcome = Outcome::Problems,
            Err(_) => {
                failed += 1;
                outcome = Outcome::Problems;
            }
        }
        match format {
            Format::Table => say(context, &kept),
            Format::Json | Format::Yaml => {
                let notes = kept.iter().filter(|piece| !matches!(piece, Piece::Line(_)));
                say(context, &notes.cloned().collect());
                values.insert(context, value(context, result.as_ref().err(), &kept)?);
            }
        }
        if let Err(error) = result {
            output::error(&error.context(context.clone()));
        }
    }
    if format != Format::Table {
        let values: Vec<&Value> = contexts
            .iter()
            .filter_map(|name| values.get(name))
            .collect();
        output::print(format, &values, |_| String::new())?;
    }
    if failed == contexts.len() {
        bail!("nothing was done in any of the {failed} contexts");
    }
    Ok(outcome)
}

fn check(contexts: &[String]) -> anyhow::Result<()> {
    if contexts.len() > MAX_CONTEXTS {
        bail!(
            "--context: {} of them; accepted: at most {MAX_CONTEXTS}",
            contexts.len()
        );
    }
    let twice = (1..contexts.len()).find(|&at| contexts[..at].contains(&contexts[at]));
    match twice {
        Some(at) => bail!("--context {}: named twice", contexts[at]),
        None => Ok(()),
    }
}

/// What a context printed, under its name.
fn say(context: &str, kept: &Kept) {
    let name = output::quoted(context);
    if kept.iter().any(|piece| matches!(piece, Piece::Line(_))) {
        output::line(format!("context {name}:"));
    }
    for piece in kept {
        output::piece(&match piece {
            Piece::Line(text) => Piece::Line(text.clone()),
            Piece::Note(text) => Piece::Note(format!("{name}: {text}")),
            Piece::Error(text) => Piece::Error(format!("{name}: {text}")),
        });
    }
}

/// What programs read of a context: its result as the command has it alone, or its error.
fn value(context: &str, error: Option<&anyhow::Error>, kept: &Kept) -> anyhow::Result<Value> {
    if let Some(error) = error {
        return Ok(json!({"context": context, "error": format!("{error:#}")}));
    }
    let lines = kept.iter().filter_map(|piece| match piece {
        Piece::Line(text) => Some(text.as_str()),
        _ => None,
    });
    let text: String = lines.collect();
    let result: Value = match text.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(&text)?,
    };
    Ok(json!({"context": context, "result": result}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("c{number}")).collect()
    }

    #[tokio::test]
    async fn one_that_is_down_leaves_the_others() {
        let contexts = names(2);
        let run = |context: &str| {
            let is_up = context == "c0";
            async move {
                match is_up {
                    true => Ok(Outcome::Good),
                    false => bail!("down"),
                }
            }
        };
        let outcome = each(&contexts, Format::Table, run).await.unwrap();
        assert_eq!(outcome, Outcome::Problems);
        let outcome = each(&contexts[..1], Format::Table, run).await.unwrap();
        assert_eq!(outcome, Outcome::Good);
        let error = each(&contexts[1..], Format::Table, run).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing was done in any of the 1 contexts"
        );
    }

    #[tokio::test]
    async fn one_that_hangs_is_waited_for_only_so_long() {
        let patience = Duration::from_millis(20);
        let run = |context: &str| {
            let hangs = context == "c0";
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok(Outcome::Good)
            }
        };
        let outcome = each_within(patience, &names(2), Format::Json, run).await;
        assert_eq!(outcome.unwrap(), Outcome::Problems);
        let error = each_within(patience, &names(1), Format::Json, run)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing was done in any of the 1 contexts"
        );
    }

    #[test]
    fn contexts_are_bounded_and_different() {
        assert!(check(&names(MAX_CONTEXTS)).is_ok());
        let too_many = check(&names(MAX_CONTEXTS + 1)).unwrap_err();
        assert_eq!(
            too_many.to_string(),
            "--context: 33 of them; accepted: at most 32"
        );
        let twice = ["a", "b", "a"].map(str::to_owned);
        let twice = check(&twice).unwrap_err();
        assert_eq!(twice.to_string(), "--context a: named twice");
    }

    #[test]
    fn the_value_of_a_context_is_what_it_printed_or_its_error() {
        let kept = vec![
            Piece::Note("on x".to_owned()),
            Piece::Line("[{\n\"a\": 1}]".to_owned()),
        ];
        assert_eq!(
            value("c", None, &kept).unwrap(),
            json!({"context": "c", "result": [{"a": 1}]})
        );
        let error = anyhow!("down").context("listing");
        assert_eq!(
            value("c", Some(&error), &kept).unwrap(),
            json!({"context": "c", "error": "listing: down"})
        );
    }
}
