//! Reads the text of a picture; every word that it does not know, and everything that does not fit
//! into its box or the picture, is an error.

use std::collections::BTreeMap;

use super::bounds::within;
use super::{Kind, Picture, PictureError, Shape, Size, Stroke};

/// The boxes that arrows can name.
type Boxes = BTreeMap<String, [f32; 4]>;

/// Reads a picture.
///
/// # Errors
/// The first line that cannot be read, with what is accepted.
pub fn read(text: &str) -> Result<Picture, PictureError> {
    let mut picture = Picture::default();
    let mut boxes = Boxes::new();
    for (written, line) in text.lines().zip(1..) {
        if written.trim().is_empty() || written.starts_with('#') {
            continue;
        }
        let error = |problem| PictureError { line, problem };
        add(&mut picture, &mut boxes, written).map_err(error)?;
    }
    if picture.title.is_empty() || picture.description.is_empty() || picture.size.0 <= 0.0 {
        let problem = "title, desc or size is missing".to_owned();
        return Err(PictureError { line: 1, problem });
    }
    Ok(picture)
}

fn add(picture: &mut Picture, boxes: &mut Boxes, line: &str) -> Result<(), String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let shape = match word {
        "title" => {
            picture.title = rest.to_owned();
            return Ok(());
        }
        "desc" => {
            picture.description = format!("{} {rest}", picture.description).trim().to_owned();
            return Ok(());
        }
        "size" => {
            let (numbers, _) = numbers::<2>(rest)?;
            picture.size = (numbers[0], numbers[1]);
            return Ok(());
        }
        "box" => boxed(boxes, rest)?,
        "arrow" => arrow(boxes, rest)?,
        "text" => words(rest)?,
        "line" => {
            let (ends, rest) = numbers(rest)?;
            let stroke = stroke(&mut rest.split_whitespace().collect());
            Shape::Line { ends, stroke }
        }
        "bar" => bar(rest)?,
        "dot" => {
            let (at, rest) = numbers::<2>(rest)?;
            let at = (at[0], at[1]);
            Shape::Dot {
                at,
                kind: kind(rest)?,
            }
        }
        other => {
            return Err(format!(
                "{other:?} is nothing that is drawn; \
                 accepted: title, desc, size, box, arrow, text, line, bar, dot"
            ));
        }
    };
    within(picture.size, &shape)?;
    picture.shapes.push(shape);
    Ok(())
}

/// The numbers that a text begins with, and what follows them.
fn numbers<const N: usize>(text: &str) -> Result<([f32; N], &str), String> {
    let mut found = [0.0; N];
    let mut rest = text;
    for number in &mut found {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        *number = word
            .parse()
            .map_err(|_| format!("{word:?} is no number of pixels"))?;
        rest = after;
    }
    Ok((found, rest))
}

fn kind(word: &str) -> Result<Kind, String> {
    let named = Kind::ALL.into_iter().find(|(name, _)| *name == word);
    named.map(|(_, kind)| kind).ok_or_else(|| {
        format!(
            "{word:?} is no filling; accepted: {}",
            Kind::ALL.map(|(name, _)| name).join(", ")
        )
    })
}

fn boxed(boxes: &mut Boxes, rest: &str) -> Result<Shape, String> {
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (place, rest) = numbers::<4>(rest)?;
    let (filling, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let lines: Vec<String> = text.split('|').map(str::to_owned).collect();
    for (line, at) in lines.iter().zip(0..) {
        let size = if at == 0 { Size::Strong } else { Size::Small };
        if size.width(line) + 10.0 > place[2] {
            return Err(format!("{line:?} does not fit into {} pixels", place[2]));
        }
    }
    if 16.0 * lines.len() as f32 + 8.0 > place[3] {
        return Err(format!(
            "{} lines do not fit into {} pixels",
            lines.len(),
            place[3]
        ));
    }
    if boxes.insert(name.to_owned(), place).is_some() {
        return Err(format!("there is another box {name:?}"));
    }
    Ok(Shape::Box {
        place,
        kind: kind(filling)?,
        lines,
    })
}

fn arrow(boxes: &Boxes, rest: &str) -> Result<Shape, String> {
    let (way, label) = match rest.split_once(" : ") {
        Some((way, label)) => (way, Some(label)),
        None => (rest, None),
    };
    let mut words: Vec<&str> = way.split_whitespace().collect();
    let stroke = stroke(&mut words);
    let mut at = None;
    if let Some(place) = words.iter().position(|word| *word == "at") {
        let given = words.get(place + 1).copied().unwrap_or_default();
        at = Some(point(given)?);
        words.drain(place..place + 2);
    }
    words.retain(|word| *word != "via");
    let [from, via @ .., to] = words.as_slice() else {
        return Err("an arrow needs two ends".to_owned());
    };
    let mut points = vec![end(boxes, from)?];
    for corner in via {
        points.push(point(corner)?);
    }
    points.push(end(boxes, to)?);
    let label = label.map(|label| (at.unwrap_or_else(|| beside(&points)), label.to_owned()));
    Ok(Shape::Arrow {
        points,
        stroke,
        label,
    })
}

/// Takes the word out that says how a line is drawn.
fn stroke(words: &mut Vec<&str>) -> Stroke {
    let before = words.len();
    words.retain(|word| *word != "dashed");
    if words.len() == before {
        Stroke::Whole
    } else {
        Stroke::Dashed
    }
}

fn point(word: &str) -> Result<(f32, f32), String> {
    let pair = word
        .split_once(',')
        .and_then(|(x, y)| Some((x.parse().ok()?, y.parse().ok()?)));
    pair.ok_or_else(|| format!("{word:?} is no point; accepted: X,Y"))
}

/// The middle of a side of a box, or so many pixels further along it: `web.left+10`.
fn end(boxes: &Boxes, word: &str) -> Result<(f32, f32), String> {
    let (name, side) = word.split_once('.').ok_or_else(|| {
        format!("{word:?} is no end of an arrow; accepted: BOX.left, right, top or bottom")
    })?;
    let [x, y, width, height] = boxes
        .get(name)
        .copied()
        .ok_or_else(|| format!("there is no box {name:?}"))?;
    let split = side.find(['+', '-']).unwrap_or(side.len());
    let (side, along) = side.split_at(split);
    let along: f32 = match along {
        "" => 0.0,
        along => along
            .parse()
            .map_err(|_| format!("{along:?} is no number of pixels"))?,
    };
    match side {
        "left" => Ok((x, y + height / 2.0 + along)),
        "right" => Ok((x + width, y + height / 2.0 + along)),
        "top" => Ok((x + width / 2.0 + along, y)),
        "bottom" => Ok((x + width / 2.0 + along, y + height)),
        other => Err(format!(
            "{other:?} is no side; accepted: left, right, top, bottom"
        )),
    }
}

/// Above the middle of the longest part of an arrow.
fn beside(points: &[(f32, f32)]) -> (f32, f32) {
    let length = |pair: &[(f32, f32)]| (pair[0].0 - pair[1].0).hypot(pair[0].1 - pair[1].1);
    let longest = points
        .windows(2)
        .max_by(|a, b| length(a).total_cmp(&length(b)));
    longest.map_or((0.0, 0.0), |pair| {
        (
            (pair[0].0 + pair[1].0) / 2.0,
            (pair[0].1 + pair[1].1) / 2.0 - 6.0,
        )
    })
}

fn words(rest: &str) -> Result<Shape, String> {
    let (at, rest) = numbers::<2>(rest)?;
    let mut parts = rest.splitn(3, ' ');
    let anchor = match parts.next() {
        Some("start") => "start",
        Some("middle") => "middle",
        Some("end") => "end",
        other => {
            return Err(format!(
                "{other:?} is no anchor; accepted: start, middle, end"
            ));
        }
    };
    let size = match parts.next() {
        Some("small") => Size::Small,
        Some("usual") => Size::Usual,
        Some("strong") => Size::Strong,
        other => {
            return Err(format!(
                "{other:?} is no size; accepted: small, usual, strong"
            ));
        }
    };
    let words = parts.next().unwrap_or_default().to_owned();
    Ok(Shape::Text {
        at: (at[0], at[1]),
        anchor,
        size,
        words,
    })
}

fn bar(rest: &str) -> Result<Shape, String> {
    let (place, rest) = numbers::<4>(rest)?;
    let part = |word: &str| {
        let (filling, share) = word
            .split_once(':')
            .ok_or_else(|| format!("{word:?} is no part; accepted: FILLING:SHARE"))?;
        let share = share
            .parse()
            .map_err(|_| format!("{share:?} is no share"))?;
        Ok::<_, String>((kind(filling)?, share))
    };
    let parts = rest
        .split_whitespace()
        .map(part)
        .collect::<Result<_, _>>()?;
    Ok(Shape::Bar { place, parts })
}
