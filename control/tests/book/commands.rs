//! Every command line of `sluice` on a page is one that the program takes: commands and options
//! that are unknown, misspelt or missing fail. Nothing of it is run here.

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use sluice::command::Cli;
use sluice_book::shell::{Place, Typed, typed};

use super::pages;

/// Pages that tell of what was, whose commands need not be there any more.
const HISTORY: [&str; 1] = ["CHANGELOG.md"];

/// What stands on pages in the place of what a reader has, longer ones first.
const PLACEHOLDERS: [(&str, &str); 7] = [
    ("$IMAGE", "oci://registry.example.com/sluice-module:0.1.0"),
    ("$DIGEST", DIGEST),
    ("sha256:…", DIGEST),
    ("oci://…", "oci://registry.example.com/sluice-module:0.1.0"),
    ("$PROMETHEUS", "http://prometheus.example.com"),
    ("URL", "http://prometheus.example.com"),
    ("=PERCENT", "=10"),
];

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The words behind the program's name, where a command runs it.
fn arguments(words: &[String]) -> Option<Vec<String>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let arguments = match words.as_slice() {
        ["kubectl", "sluice", rest @ ..] => rest,
        [program, rest @ ..] if program.rsplit('/').next() == Some("sluice") => rest,
        _ => return None,
    };
    // Said of any command, or a line of a proxy's log: `sluice PLUGIN: …`.
    let is_none = |word: &&str| *word == "COMMAND" || word.ends_with(':');
    if arguments.first().is_some_and(is_none) {
        return None;
    }
    let is_meant = |word: &&&str| !["…", "...", "[...]"].contains(*word);
    Some(
        arguments
            .iter()
            .filter(is_meant)
            .map(|word| filled(word))
            .collect(),
    )
}

fn filled(word: &str) -> String {
    let mut word = word.trim_matches(['[', ']']).to_owned();
    for (placeholder, meant) in PLACEHOLDERS {
        word = word.replace(placeholder, meant);
    }
    word
}

/// What the program says of a command that it does not take.
fn refused(place: Place, arguments: &[String]) -> Option<String> {
    let words = std::iter::once("sluice").chain(arguments.iter().map(String::as_str));
    let error = Cli::try_parse_from(words).err()?;
    let is_incomplete = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return None,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        // What a value may be is what a mistake shows.
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if place == Place::Mistake => {
            return None;
        }
        ErrorKind::InvalidValue => is_without_value(&error),
        _ => false,
    };
    // A sentence may say a part of a command.
    (place != Place::Sentence || !is_incomplete).then(|| error.to_string())
}

/// Whether an option has no value at all.
fn is_without_value(error: &Error) -> bool {
    let given = error.get(ContextKind::InvalidValue);
    given.is_none_or(|given| *given == ContextValue::String(String::new()))
}

#[test]
fn every_command_on_a_page_is_one_of_the_programs() {
    let mut wrong = Vec::new();
    let mut read = 0;
    for page in pages() {
        if HISTORY.contains(&page.path.as_str()) {
            continue;
        }
        for Typed { words, line, place } in typed(&page) {
            let Some(arguments) = arguments(&words) else {
                continue;
            };
            read += 1;
            if let Some(error) = refused(place, &arguments) {
                wrong.push(format!(
                    "{}: sluice {}\n{error}",
                    page.at(line),
                    arguments.join(" ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 300, "{read} commands were read");
}

#[test]
fn a_command_that_is_not_the_programs_is_refused() {
    let rows = [
        (
            "an unknown command",
            Place::Sentence,
            "sluice sett web",
            true,
        ),
        (
            "an unknown option",
            Place::Sentence,
            "sluice set web canary=1 --why x",
            true,
        ),
        (
            "a part of a command, in a sentence",
            Place::Sentence,
            "sluice set",
            false,
        ),
        (
            "an option without a value, in a sentence",
            Place::Sentence,
            "sluice apply --prometheus",
            false,
        ),
        (
            "a part of a command, in a block",
            Place::Block,
            "sluice render web",
            true,
        ),
        (
            "a value that is none, in a mistake",
            Place::Mistake,
            "sluice set web canary=140",
            false,
        ),
        (
            "a value that is none",
            Place::Block,
            "sluice set web canary=140",
            true,
        ),
        (
            "a whole one",
            Place::Block,
            "kubectl sluice set web canary=1 -n shop",
            false,
        ),
        (
            "one with what is left out",
            Place::Block,
            "sluice render … --native -f x",
            false,
        ),
    ];
    for (label, place, line, expected) in rows {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let arguments = arguments(&words).unwrap();
        assert_eq!(refused(place, &arguments).is_some(), expected, "{label}");
    }
}
