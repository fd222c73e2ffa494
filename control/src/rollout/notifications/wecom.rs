//! Messages as WeCom's group robots take them, and what they answer.
//!
//! A robot's markdown has no escapes. The few signs by which it forms a link, a mention, a colour or
//! code are replaced by their full-width twins, so that what people wrote stays readable and is
//! nothing else.

use serde::Deserialize;
use serde_json::json;

use super::message::{Letter, Mood};
use super::queue::Outcome;
use crate::rollout::cut::cut;

/// The longest markdown, in bytes, by WeCom's documentation of group robots.
const LONGEST_CONTENT: usize = 4_096;

/// The error codes of a robot that was asked too often, and of a system that is busy.
const PASSING: [i64; 2] = [45_009, -1];

#[derive(Deserialize)]
struct Answer {
    errcode: i64,
}

pub(super) fn body(letter: &Letter) -> Vec<u8> {
    let colour = match letter.mood {
        Mood::Good => "info",
        Mood::Bad => "warning",
        Mood::Plain => "comment",
    };
    let Letter { word, facts, .. } = letter;
    let name = escaped(&letter.name);
    let mut content = format!("**<font color=\"{colour}\">{word}</font>** {name}");
    if !letter.text.is_empty() {
        content += &format!("\n{}", escaped(&letter.text));
    }
    content += &format!("\n> {}", escaped(facts));
    let content = cut(&content, LONGEST_CONTENT);
    let body = json!({"msgtype": "markdown", "markdown": {"content": content}});
    body.to_string().into_bytes()
}

/// What an answer of HTTP status 200 means.
pub(super) fn outcome(text: &str) -> Outcome {
    let Ok(Answer { errcode }) = serde_json::from_str(text) else {
        return Outcome::later("answered without an errcode".to_owned());
    };
    let why = format!("answered errcode {errcode}");
    match errcode {
        0 => Outcome::Sent,
        code if PASSING.contains(&code) => Outcome::later(why),
        _ => Outcome::Never { why },
    }
}

fn escaped(text: &str) -> String {
    let replaced = text.chars().map(|one| match one {
        '<' => '＜',
        '>' => '＞',
        '[' => '［',
        ']' => '］',
        '*' => '＊',
        '`' => '｀',
        '#' => '＃',
        '\n' | '\r' => ' ',
        other => other,
    });
    replaced.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_200_may_be_a_refusal() {
        let later = |why: &str| Outcome::later(why.to_owned());
        let never = |why: &str| Outcome::Never {
            why: why.to_owned(),
        };
        let cases = [
            (r#"{"errcode":0,"errmsg":"ok"}"#, Outcome::Sent),
            (
                r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
                later("answered errcode 45009"),
            ),
            (
                r#"{"errcode":-1,"errmsg":"busy"}"#,
                later("answered errcode -1"),
            ),
            (
                r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
                never("answered errcode 93000"),
            ),
            ("<html>", later("answered without an errcode")),
            ("", later("answered without an errcode")),
        ];
        for (text, expected) in cases {
            assert_eq!(outcome(text), expected, "{text}");
        }
    }
}
