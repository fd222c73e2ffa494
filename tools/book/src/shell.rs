//! Which commands a page says to type: those of its blocks of shell, and those that stand within a
//! line.
//!
//! A reader of what documents have: pipes, lists, quotes, comments, redirections, heredocs and
//! `$(…)`. It runs nothing, and what it does not know it takes for words.

use crate::page::{Block, Page};

/// A command of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// Its words, without quotes, redirections and assignments before it.
    pub words: Vec<String>,
    /// The line of the page.
    pub line: usize,
    /// Where it stands.
    pub place: Place,
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a block: it is typed as it stands there.
    Block,
    /// In a block, by a line that goes on where it fails: `… || echo "exit code $?"`.
    Mistake,
    /// Within a sentence, where it may be less than a whole command.
    Sentence,
}

/// Every command of a page.
pub fn typed(page: &Page) -> Vec<Typed> {
    let mut found = Vec::new();
    for block in &page.blocks {
        for (line, text) in lines(block) {
            found.extend(commands(&text).into_iter().map(|words| Typed {
                words,
                line,
                place: match text.contains("|| echo") {
                    true => Place::Mistake,
                    false => Place::Block,
                },
            }));
        }
    }
    for (text, line) in &page.spans {
        found.extend(commands(text).into_iter().take(1).map(|words| Typed {
            words,
            line: *line,
            place: Place::Sentence,
        }));
    }
    found
}

/// The lines of a block that are typed, each with its number, those joined that a backslash joins,
/// without what is in a heredoc.
fn lines(block: &Block) -> Vec<(usize, String)> {
    let prompt = block.text.lines().any(|line| line.starts_with("$ "));
    let yaml = block.language() == "yaml";
    if !yaml && !["", "sh", "bash", "shell", "console"].contains(&block.language()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut lines = block.text.lines().zip(block.line..);
    while let Some((line, number)) = lines.next() {
        let line = match line.strip_prefix("$ ") {
            Some(typed) => typed,
            None if prompt || block.language() == "console" => continue,
            // Scripts of a pipeline stand in YAML.
            None if yaml => match script(line) {
                Some(typed) => typed,
                None => continue,
            },
            None => line,
        };
        let mut text = line.to_owned();
        while text.ends_with('\\') {
            text.pop();
            let Some((more, _)) = lines.next() else { break };
            text.push_str(more.trim_start());
        }
        if let Some(end) = heredoc(&text) {
            lines.by_ref().find(|(line, _)| line.trim() == end);
        }
        found.push((number, text));
    }
    found
}

/// What a line of YAML runs, where it is a command of a pipeline's script.
fn script(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("- ").unwrap_or(line);
    let line = line.strip_prefix("run: ").unwrap_or(line);
    line.starts_with("sluice ").then_some(line)
}

/// The word that ends the heredoc which a line begins.
pub(crate) fn heredoc(line: &str) -> Option<String> {
    let (_, after) = line.split_once("<<")?;
    let word: String = after
        .trim_start_matches('-')
        .chars()
        .take_while(|letter| !" |;&>".contains(*letter))
        .filter(|letter| !"'\"".contains(*letter))
        .collect();
    (!word.is_empty() && !word.starts_with('<')).then_some(word)
}

/// The commands of a line, each as its words.
pub fn commands(line: &str) -> Vec<Vec<String>> {
    let mut reader = Reader {
        rest: line.chars().peekable(),
        found: Vec::new(),
        words: Vec::new(),
        inner: Vec::new(),
    };
    reader.read();
    let mut found = reader.found;
    for inner in &reader.inner {
        found.extend(commands(inner));
    }
    let commands = found.into_iter().map(bare);
    commands.filter(|words| !words.is_empty()).collect()
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    found: Vec<Vec<String>>,
    words: Vec<String>,
    /// What stood in `$(…)`.
    inner: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(letter) = self.rest.peek().copied() {
            match letter {
                ' ' | '\t' => {
                    self.rest.next();
                }
                '#' => break,
                '|' | ';' | '&' | '(' | ')' => {
                    self.rest.next();
                    self.end();
                }
                _ => self.word(),
            }
        }
        self.end();
    }

    fn end(&mut self) {
        if !self.words.is_empty() {
            self.found.push(std::mem::take(&mut self.words));
        }
    }

    /// Reads a word, or a redirection with the word behind it.
    fn word(&mut self) {
        let mut word = String::new();
        while let Some(letter) = self.rest.peek().copied() {
            match letter {
                ' ' | '\t' | '|' | ';' | '(' | ')' => break,
                '&' => break,
                '>' | '<' => return self.redirection(word),
                '\'' | '"' => {
                    self.rest.next();
                    let quoted = self.rest.by_ref().take_while(|next| *next != letter);
                    word.extend(quoted);
                }
                '$' => {
                    self.rest.next();
                    if self.rest.peek() == Some(&'(') {
                        self.substituted();
                    }
                    word.push('$');
                }
                letter => {
                    word.push(letter);
                    self.rest.next();
                }
            }
        }
        self.words.push(word);
    }

    fn redirection(&mut self, before: String) {
        if !before.is_empty() && before.parse::<u8>().is_err() {
            self.words.push(before);
        }
        while self.rest.next_if(|next| ">&< ".contains(*next)).is_some() {}
        let to = self.words.len();
        if self.rest.peek().is_some_and(|next| *next == '(') {
            self.substituted();
        } else if self.rest.peek().is_some() {
            self.word();
        }
        self.words.truncate(to);
    }

    fn substituted(&mut self) {
        let mut depth = 0;
        let mut inner = String::new();
        for letter in self.rest.by_ref() {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inner.push(letter);
        }
        self.inner.push(inner.trim_start_matches('(').to_owned());
    }
}

/// A command without what may stand before it: assignments, words of the shell, and programs that
/// run another one.
fn bare(words: Vec<String>) -> Vec<String> {
    const BEFORE: [&str; 13] = [
        "if", "then", "else", "while", "until", "do", "!", "sudo", "time", "exec", "nohup", "{",
        "$",
    ];
    let is_assignment = |word: &str| {
        let name = word.split_once('=').map(|(name, _)| name);
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        name.is_some_and(|name| !name.is_empty() && is_name(name))
    };
    let at = words
        .iter()
        .position(|word| !BEFORE.contains(&word.as_str()) && !is_assignment(word));
    let mut words = words
        .into_iter()
        .skip(at.unwrap_or(usize::MAX))
        .collect::<Vec<_>>();
    if words.first().is_some_and(|word| word == "timeout") {
        words.drain(..2.min(words.len()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<String> {
        commands(line).iter().map(|words| words.join("·")).collect()
    }

    #[test]
    fn lines_are_taken_apart_as_a_shell_does() {
        let rows: [(&str, &str, &[&str]); 9] = [
            ("quotes", "a 'b c' \"d\"e", &["a·b c·de"]),
            ("a comment", "a b # c", &["a·b"]),
            ("a pipe", "a 2>/dev/null | b -f -", &["a", "b·-f·-"]),
            ("lists", "a && b; c || echo x", &["a", "b", "c", "echo·x"]),
            ("redirections", "a > b.yaml 2>&1 c", &["a·c"]),
            (
                "what runs it",
                "if ! X=1 timeout 5 a b; then c; fi",
                &["a·b", "c", "fi"],
            ),
            ("a substitution", "a $(b c) d", &["a·$·d", "b·c"]),
            ("a command behind", "a &", &["a"]),
            ("no quote's end", "a 'b", &["a·b"]),
        ];
        for (label, line, expected) in rows {
            assert_eq!(read(line), expected, "{label}");
        }
    }

    #[test]
    fn of_a_console_only_what_is_typed_is_read() {
        let console = "```console\n$ a \\\n    b\nc\n$ d <<EOF || echo x\ne\nEOF\nf\n```\n";
        let text = format!("{console}\n    g\n\nSay `h i` then.\n");
        let page = Page::read("x.md", text);
        let found: Vec<_> = typed(&page)
            .into_iter()
            .map(|typed| (typed.words.join(" "), typed.line, typed.place))
            .collect();
        let expected = [
            ("a b", 2, Place::Block),
            ("d", 5, Place::Mistake),
            ("echo x", 5, Place::Mistake),
            ("g", 11, Place::Block),
            ("h i", 13, Place::Sentence),
        ];
        assert_eq!(
            found,
            expected.map(|(words, line, place)| (words.to_owned(), line, place))
        );
    }

    #[test]
    fn a_pipelines_script_is_typed_too() {
        let text = "```yaml\njob:\n  script:\n  - sluice validate -f x\n  - echo\n```\n";
        let page = Page::read("x.md", text.to_owned());
        let found: Vec<_> = typed(&page)
            .into_iter()
            .map(|typed| typed.words.join(" "))
            .collect();
        assert_eq!(found, ["sluice validate -f x"]);
    }
}
