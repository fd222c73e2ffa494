//! Writes a picture as SVG.

use super::{Kind, Picture, Shape, Size, Stroke};

/// Light, and dark for who prefers it. The background is the picture's own, so that either can be
/// read on any page.
const STYLE: &str = "
    .paper { fill: #ffffff; stroke: #d0d7de }
    text { fill: #1f2328; font-size: 13px }
    text { font-family: system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif }
    .small { font-size: 11.5px }
    .strong { font-weight: 600 }
    .label { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round }
    .stroke { stroke: #59636e; stroke-width: 1.5; fill: none }
    .dashed { stroke-dasharray: 5 4 }
    .head { fill: #59636e }
    .plain { fill: #f6f8fa; stroke: #818b98 }
    .sluice { fill: #ddf4ff; stroke: #0969da }
    .stable { fill: #dafbe1; stroke: #1a7f37 }
    .canary { fill: #fff1c2; stroke: #9a6700 }
    .bad { fill: #ffebe9; stroke: #cf222e }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117; stroke: #3d444d }
      text { fill: #f0f6fc }
      .label { stroke: #0d1117 }
      .stroke { stroke: #b1bac4 }
      .head { fill: #b1bac4 }
      .plain { fill: #212830; stroke: #9198a1 }
      .sluice { fill: #0c2d6b; stroke: #4493f8 }
      .stable { fill: #0f3d1d; stroke: #3fb950 }
      .canary { fill: #4b3a05; stroke: #d29922 }
      .bad { fill: #5d1016; stroke: #f85149 }
    }
";

/// Writes a picture. `source` is the path of its text, which is said in the file.
pub fn svg(picture: &Picture, source: &str) -> String {
    let (width, height) = picture.size;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <!-- Drawn from {source} by tools/book (`make pictures`); do not edit. -->\n\
         <title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
         <path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
        escaped(&picture.title),
        escaped(&picture.description),
        width - 1.0,
        height - 1.0,
    );
    // Words last: nothing is drawn over them.
    let (words, rest): (Vec<&Shape>, Vec<&Shape>) = picture
        .shapes
        .iter()
        .partition(|shape| matches!(shape, Shape::Text { .. }));
    for shape in rest.into_iter().chain(words) {
        text += &drawn(shape);
    }
    text + "</svg>\n"
}

fn drawn(shape: &Shape) -> String {
    match shape {
        Shape::Box { place, kind, lines } => boxed(*place, *kind, lines),
        Shape::Arrow {
            points,
            stroke,
            label,
        } => arrow(points, *stroke, label.as_ref()),
        Shape::Text {
            at,
            anchor,
            size,
            words,
        } => {
            let class = match size {
                Size::Small => " class=\"small\"",
                Size::Usual => "",
                Size::Strong => " class=\"strong\"",
            };
            words_at(*at, anchor, class, words)
        }
        Shape::Line {
            ends: [x1, y1, x2, y2],
            stroke,
        } => format!(
            "<path class=\"{}\" d=\"M{x1} {y1}L{x2} {y2}\"/>\n",
            class(*stroke)
        ),
        Shape::Bar { place, parts } => bar(*place, parts),
        Shape::Dot { at: (x, y), kind } => {
            format!(
                "<circle class=\"{}\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>\n",
                kind.word()
            )
        }
    }
}

fn class(stroke: Stroke) -> &'static str {
    match stroke {
        Stroke::Whole => "stroke",
        Stroke::Dashed => "stroke dashed",
    }
}

fn boxed([x, y, width, height]: [f32; 4], kind: Kind, lines: &[String]) -> String {
    let mut text = format!(
        "<rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\"/>\n",
        kind.word()
    );
    let first = y + height / 2.0 - 8.0 * (lines.len() as f32 - 1.0) + 4.5;
    for (line, at) in lines.iter().zip(0..) {
        let class = if at == 0 {
            " class=\"strong\""
        } else {
            " class=\"small\""
        };
        text += &words_at(
            (x + width / 2.0, first + 16.0 * at as f32),
            "middle",
            class,
            line,
        );
    }
    text
}

fn arrow(points: &[(f32, f32)], stroke: Stroke, label: Option<&((f32, f32), String)>) -> String {
    let way: Vec<String> = points.iter().map(|(x, y)| format!("{x} {y}")).collect();
    let mut text = format!(
        "<path class=\"{}\" marker-end=\"url(#head)\" d=\"M{}\"/>\n",
        class(stroke),
        way.join("L")
    );
    if let Some((at, words)) = label {
        text += &words_at(*at, "middle", " class=\"small label\"", words);
    }
    text
}

fn bar([x, y, width, height]: [f32; 4], parts: &[(Kind, f32)]) -> String {
    let sum: f32 = parts.iter().map(|(_, share)| share).sum();
    let mut text = String::new();
    let mut left = x;
    for (kind, share) in parts {
        let wide = width * share / sum;
        if wide > 0.0 {
            text += &format!(
                "<rect class=\"{word}\" x=\"{left}\" y=\"{y}\" width=\"{wide}\" \
                 height=\"{height}\"/>\n",
                word = kind.word()
            );
        }
        left += wide;
    }
    text
}

fn words_at((x, y): (f32, f32), anchor: &str, class: &str, words: &str) -> String {
    let words = escaped(words);
    format!("<text{class} x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

fn escaped(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
