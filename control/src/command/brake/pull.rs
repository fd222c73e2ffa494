//! `sluice brake pull`: brakes by the controller's key, where the API server is down too.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::brake::key::Key;
use crate::brake::key::asking::{Asked, At, MAX_AT, ask};
use crate::brake::key::request::{Answered, MAX_BY, Pull, Signed};
use crate::command::arguments::ReasonArgs;
use crate::command::outcome::Outcome;
use crate::command::output;
use crate::operations::Caller;

/// `sluice brake pull`.
#[derive(clap::Args, Debug)]
pub(super) struct PullArgs {
    /// The split
    split: String,
    /// The plugin's namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: String,
    /// The plugin
    #[arg(long, value_name = "NAME", default_value = "sluice")]
    plugin: String,
    /// The challenger that is to serve nobody [default: every one]
    #[arg(long, value_name = "NAME")]
    challenger: Option<String>,
    /// The file with the controller's key
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Where the controller takes requests with its key: each address of each host is asked
    #[arg(long, value_name = "URL,…", value_delimiter = ',', required = true, value_parser = at)]
    at: Vec<At>,
    /// Why it is done.
    #[command(flatten)]
    reason: ReasonArgs,
}

fn at(text: &str) -> Result<At, String> {
    At::new(text).ok_or_else(|| "accepted: http://HOST:PORT or https://HOST".to_owned())
}

pub(super) async fn run(arguments: &PullArgs, caller: &Caller) -> anyhow::Result<Outcome> {
    let count = arguments.at.len();
    if count > MAX_AT {
        bail!("--at: {count} URLs; at most {MAX_AT}");
    }
    let pull = Pull {
        namespace: arguments.namespace.clone(),
        plugin: arguments.plugin.clone(),
        split: arguments.split.clone(),
        challenger: arguments.challenger.clone(),
        by: caller.name.chars().take(MAX_BY).collect(),
        reason: arguments.reason.reason.clone(),
    };
    let problems: Vec<String> = pull.problems().iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    let key = Key::read(&arguments.key_file).context("--key-file")?;
    let signed = Signed::new(&key, &pull, id()?, caller.now())?;
    let all = ask(&arguments.at, &signed).await;
    for asked in &all {
        output::line(line(asked));
    }
    let (outcome, notes) = judged(&all, &pull);
    for note in notes {
        output::note(note);
    }
    Ok(outcome)
}

/// What tells one request from others of the same second.
fn id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.ok().context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What came of one address.
fn line(asked: &Asked) -> String {
    let Asked { address, answer } = asked;
    match answer {
        Ok(answered) => {
            let (following, asking) = (answered.following, answered.asking);
            let state = match answered.state.as_str() {
                "on" => "braked",
                "written" | "over" => "braked, and the zeros are written",
                "released" => "NOT BRAKED: somebody released it",
                other => other,
            };
            let state = output::quoted(state);
            format!(
                "{address}: {state}; {following} of the {asking} proxies that ask here have heard"
            )
        }
        Err(unanswered) => format!("{address}: NOT BRAKED: {}", output::quoted(unanswered)),
    }
}

/// Whether every proxy that asks a replica which answered has heard. A replica that does not answer may
/// be gone: its proxies ask another one within seconds.
fn judged(all: &[Asked], pull: &Pull) -> (Outcome, Vec<String>) {
    let what = pull.what();
    let answers: Vec<&Answered> = all.iter().flat_map(|asked| &asked.answer).collect();
    let is_braked = |answered: &&Answered| answered.state != "released";
    if !answers.iter().any(is_braked) {
        let nobody = format!("NOT BRAKED: {what}: no replica of the controller took it");
        return (Outcome::Problems, vec![nobody]);
    }
    let sum = |count: fn(&Answered) -> u32| -> u64 {
        let counts = answers.iter().map(|answered| u64::from(count(answered)));
        counts.sum()
    };
    let (asking, following) = (sum(|one| one.asking), sum(|one| one.following));
    let mut notes = vec![format!(
        "{what}: {following} of {asking} proxies have heard"
    )];
    if asking == 0 {
        notes.push(
            "no proxy asks these replicas: are namespace and plugin right, and does its configuration have `brake`?"
                .to_owned(),
        );
    }
    let refused = all.len() - answers.len();
    if refused > 0 {
        notes.push(format!(
            "{refused} of {} addresses did not take it",
            all.len()
        ));
    }
    let is_good = asking > 0 && following == asking && answers.iter().all(is_braked);
    match is_good {
        true => (Outcome::Good, notes),
        false => (Outcome::Problems, notes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brake::key::asking::Unanswered;

    fn asked(answer: Result<(&str, u32, u32), &str>) -> Asked {
        let answer = match answer {
            Ok((state, following, asking)) => Ok(Answered {
                brake: "key-0".to_owned(),
                state: state.to_owned(),
                asking,
                following,
            }),
            Err(why) => Err(Unanswered::Silent(why.to_owned())),
        };
        Asked {
            address: "10.0.0.7:8086".to_owned(),
            answer,
        }
    }

    #[test]
    fn it_is_good_where_every_proxy_of_who_answered_has_heard() {
        let pull = Pull::of_web();
        let (all, some) = (asked(Ok(("on", 3, 3))), asked(Ok(("on", 2, 3))));
        let (none, gone) = (asked(Ok(("on", 0, 0))), asked(Err("refused")));
        let (over, released) = (asked(Ok(("over", 3, 3))), asked(Ok(("released", 3, 3))));
        let cases: [(&[&Asked], Outcome); 9] = [
            (&[&all, &all], Outcome::Good),
            (&[&all, &none], Outcome::Good),
            (&[&all, &gone], Outcome::Good),
            (&[&all, &over], Outcome::Good),
            (&[&all, &some], Outcome::Problems),
            (&[&none], Outcome::Problems),
            (&[&gone], Outcome::Problems),
            (&[&released], Outcome::Problems),
            (&[&all, &released], Outcome::Problems),
        ];
        for (asked, expected) in cases {
            let all: Vec<Asked> = asked.iter().map(|asked| (*asked).clone()).collect();
            assert_eq!(judged(&all, &pull).0, expected, "{all:?}");
        }
    }

    #[test]
    fn what_came_of_each_address_is_a_line() {
        let cases = [
            (
                asked(Ok(("on", 2, 3))),
                "10.0.0.7:8086: braked; 2 of the 3 proxies that ask here have heard",
            ),
            (
                asked(Err("Connection refused\nerror: x")),
                "10.0.0.7:8086: NOT BRAKED: no answer: Connection refused\\nerror: x",
            ),
        ];
        for (asked, expected) in cases {
            assert_eq!(line(&asked), expected);
        }
    }
}
