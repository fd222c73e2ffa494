//! Whether what is drawn lies in the picture, as far as that can be said of words.

use super::{Shape, Size};

/// Refuses a shape that reaches beyond the picture.
pub(super) fn within((width, height): (f32, f32), shape: &Shape) -> Result<(), String> {
    let words = |(x, y): (f32, f32), anchor: &str, size: Size, words: &str| {
        let wide = size.width(words);
        let left = match anchor {
            "start" => x,
            "middle" => x - wide / 2.0,
            _ => x - wide,
        };
        [(left, y - 8.0), (left + wide, y)]
    };
    let corners = match shape {
        Shape::Box {
            place: [x, y, w, h],
            ..
        }
        | Shape::Bar {
            place: [x, y, w, h],
            ..
        } => {
            vec![(*x, *y), (x + w, y + h)]
        }
        Shape::Arrow { points, label, .. } => {
            let label = label
                .iter()
                .flat_map(|(at, text)| words(*at, "middle", Size::Small, text));
            points.iter().copied().chain(label).collect()
        }
        Shape::Text {
            at,
            anchor,
            size,
            words: text,
        } => words(*at, anchor, *size, text).to_vec(),
        Shape::Line {
            ends: [x1, y1, x2, y2],
            ..
        } => vec![(*x1, *y1), (*x2, *y2)],
        Shape::Dot { at, .. } => vec![*at],
    };
    let is_in = |(x, y): &(f32, f32)| (0.0..=width).contains(x) && (0.0..=height).contains(y);
    match corners.iter().find(|corner| !is_in(corner)) {
        Some((x, y)) => Err(format!(
            "reaches {x},{y}, outside of {width} by {height} pixels"
        )),
        None => Ok(()),
    }
}
