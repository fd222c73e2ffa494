//! A picture: a text of boxes, arrows, bars and words becomes an SVG, the same bytes each time.
//!
//! One thing a line, positions in pixels, `#` for remarks:
//!
//! ```text
//! title A request's way
//! desc What a screen reader says of it.
//! size 760 200
//! box envoy 20 40 120 56 sluice Envoy|of the caller
//! arrow envoy.right via 300,68 web.left+10 dashed : the label
//! text 20 180 start small some words
//! line 20 190 200 190 dashed
//! bar 20 150 400 20 stable:95 canary:5
//! dot 40 160 canary
//! ```
//!
//! Kinds of fillings are `plain`, `sluice`, `stable`, `canary`, `bad`. The SVG has a background and
//! colours for light and for dark of its own, so it can be read on a page of any colour. It draws
//! nothing by itself: whoever writes the text places everything.

mod bounds;
mod draw;
mod read;

use thiserror::Error;

pub use draw::svg;
pub use read::read;

/// What a text of a picture says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Its name, for who cannot see it.
    pub title: String,
    /// What it shows, in sentences, for who cannot see it.
    pub description: String,
    /// Width and height.
    pub size: (f32, f32),
    /// What is drawn, in this order.
    pub shapes: Vec<Shape>,
}

/// A thing of a picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A rectangle with words in its middle.
    Box {
        /// Left, top, width, height.
        place: [f32; 4],
        /// Its filling.
        kind: Kind,
        /// Its lines; the first is strong.
        lines: Vec<String>,
    },
    /// A line with a head.
    Arrow {
        /// Its corners.
        points: Vec<(f32, f32)>,
        /// How it is drawn.
        stroke: Stroke,
        /// Where its words are, and these.
        label: Option<((f32, f32), String)>,
    },
    /// Words.
    Text {
        /// Where they are fastened.
        at: (f32, f32),
        /// Their end that is fastened: an SVG `text-anchor`.
        anchor: &'static str,
        /// Their size.
        size: Size,
        /// The words.
        words: String,
    },
    /// A line without a head.
    Line {
        /// Both ends.
        ends: [f32; 4],
        /// How it is drawn.
        stroke: Stroke,
    },
    /// A rectangle of parts.
    Bar {
        /// Left, top, width, height.
        place: [f32; 4],
        /// Each part's filling and its share of the sum.
        parts: Vec<(Kind, f32)>,
    },
    /// A circle.
    Dot {
        /// Its centre.
        at: (f32, f32),
        /// Its filling.
        kind: Kind,
    },
}

/// A filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something of others.
    Plain,
    /// Something of Sluice's.
    Sluice,
    /// The fallback.
    Stable,
    /// The challenger.
    Canary,
    /// What failed.
    Bad,
}

impl Kind {
    /// Each with its word, which is its class in the SVG.
    pub const ALL: [(&'static str, Self); 5] = [
        ("plain", Self::Plain),
        ("sluice", Self::Sluice),
        ("stable", Self::Stable),
        ("canary", Self::Canary),
        ("bad", Self::Bad),
    ];

    fn word(self) -> &'static str {
        let named = Self::ALL.into_iter().find(|(_, kind)| *kind == self);
        named.map_or("plain", |(word, _)| word)
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Without gaps.
    Whole,
    /// With gaps.
    Dashed,
}

/// How large words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Of labels and remarks.
    Small,
    /// Of boxes.
    Usual,
    /// Usual and heavy.
    Strong,
}

impl Size {
    /// About how wide words are, in pixels: a letter of common fonts takes some 0.56 of its height.
    fn width(self, words: &str) -> f32 {
        let letter = match self {
            Self::Small => 6.4,
            Self::Usual => 7.3,
            Self::Strong => 7.7,
        };
        letter * words.chars().count() as f32
    }
}

/// What is wrong with the text of a picture.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct PictureError {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong, what was found, what is accepted.
    pub problem: String,
}
