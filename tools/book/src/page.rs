//! One Markdown file, taken apart: its headings' anchors, links, blocks of code and words of code.
//!
//! Markdown is read by the parser that mdBook has, tables on, as a Git host reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A Markdown file.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Below the repository's folder, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Its headings, as they are read.
    pub headings: Vec<String>,
    /// What can stand behind `#` in a link to it.
    pub anchors: BTreeSet<String>,
    /// Links and images, in their order.
    pub links: Vec<Link>,
    /// Fenced and indented blocks of code.
    pub blocks: Vec<Block>,
    /// Code within a line: its text, and the line it begins in.
    pub spans: Vec<(String, usize)>,
}

/// A link or an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads to, as it is written.
    pub to: String,
    /// Its line, from 1.
    pub line: usize,
    /// Where it stands in the page's text, with its brackets.
    pub range: Range<usize>,
    /// Where what a reader sees of it stands.
    pub shown: Range<usize>,
}

/// A block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the fence; nothing of an indented block.
    pub info: String,
    /// Its text.
    pub text: String,
    /// The line of its first line of text, from 1.
    pub line: usize,
    /// Where it stands in the page, with its fences.
    pub range: Range<usize>,
}

impl Block {
    /// The language: the first word of the info string.
    pub fn language(&self) -> &str {
        self.info.split_whitespace().next().unwrap_or_default()
    }

    /// The name of the file that the block is, where it says one: `yaml file=canary.yaml`.
    pub fn file(&self) -> Option<&str> {
        let mut words = self.info.split_whitespace();
        words.find_map(|word| word.strip_prefix("file="))
    }
}

impl Page {
    /// Takes a text apart.
    pub fn read(path: &str, text: String) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let starts: Vec<usize> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let line = |at: usize| starts.partition_point(|start| *start <= at);
        let mut heading: Option<String> = None;
        let mut slugs = BTreeMap::new();
        let mut open: Vec<usize> = Vec::new();
        let mut block = None;
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let heading = heading.take().unwrap_or_default();
                    let slug = slug(&heading);
                    page.headings.push(heading);
                    page.anchors.insert(numbered(&mut slugs, slug));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    open.push(page.links.len());
                    page.links.push(Link {
                        to: dest_url.to_string(),
                        line: line(range.start),
                        shown: range.start..range.start,
                        range,
                    });
                }
                Event::End(TagEnd::Link | TagEnd::Image) => {
                    open.pop();
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match &kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block {
                        info,
                        text: String::new(),
                        line: 0,
                        range,
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Text(words) | Event::Code(words) if block.is_none() => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                    if let Some(link) = open.last().and_then(|at| page.links.get_mut(*at)) {
                        if link.shown.is_empty() {
                            link.shown = range.clone();
                        }
                        link.shown.end = range.end;
                    }
                    if text[range.clone()].starts_with('`') {
                        page.spans.push((words.to_string(), line(range.start)));
                    }
                }
                Event::Text(words) => {
                    if let Some(block) = &mut block {
                        if block.text.is_empty() {
                            block.line = line(range.start);
                        }
                        block.text.push_str(&words);
                    }
                }
                _ => {}
            }
        }
        page.text = text;
        page
    }

    /// Its first heading, or its path where it has none.
    pub fn title(&self) -> &str {
        self.headings.first().map_or(&self.path, String::as_str)
    }

    /// `path:line`, as messages name a place.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// The anchor of a heading, as GitHub, GitLab and mdBook make it: small letters, digits, `-` and
/// `_` stay, white space becomes `-`, all else goes.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|letter| match letter {
            '-' | '_' => Some(letter),
            _ if letter.is_alphanumeric() => Some(letter),
            _ if letter.is_whitespace() => Some('-'),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

/// The second heading of a name gets `-1`, the third `-2`.
fn numbered(slugs: &mut BTreeMap<String, usize>, slug: String) -> String {
    let times = slugs.entry(slug.clone()).or_default();
    *times += 1;
    match *times - 1 {
        0 => slug,
        number => format!("{slug}-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page::read("x.md", text.to_owned())
    }

    #[test]
    fn anchors_are_those_of_a_git_host() {
        let text = "# What `sluice doctor` looks at\n## A, b: c?\n## Same\n## Same\n";
        let expected = ["a-b-c", "same", "same-1", "what-sluice-doctor-looks-at"];
        assert_eq!(page(text).anchors, expected.map(str::to_owned).into());
    }

    #[test]
    fn links_say_where_they_lead_and_what_is_shown_of_them() {
        let page = page("a\n[the `b`](c.md#d) and ![picture](e.svg)\n");
        let found: Vec<_> = (page.links.iter())
            .map(|link| (link.to.as_str(), link.line, &page.text[link.shown.clone()]))
            .collect();
        assert_eq!(found, [("c.md#d", 2, "the `b`"), ("e.svg", 2, "picture")]);
    }

    #[test]
    fn blocks_have_a_language_a_file_and_a_line() {
        let page = page("```yaml file=a.yaml\nkind: x\n```\n\n    make docs\n");
        let found: Vec<_> = (page.blocks.iter())
            .map(|block| (block.language(), block.file(), block.line, &*block.text))
            .collect();
        let expected = [
            ("yaml", Some("a.yaml"), 2, "kind: x\n"),
            ("", None, 5, "make docs\n"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn code_within_a_line_is_told_with_its_line() {
        let page = page("# `a`\n\n| b | `c \\| d` |\n|---|---|\n| x | `e` |\n");
        let expected = [("a", 1), ("c | d", 3), ("e", 5)];
        assert_eq!(
            page.spans,
            expected.map(|(text, line)| (text.to_owned(), line))
        );
    }
}
