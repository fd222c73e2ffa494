//! A document of which one part cannot be read: everything else is kept.
//!
//! `splits`, `weights` and `draws` have an entry for each split, and each entry is read by itself.
//! One that is no JSON that can be read (1e400, half a surrogate pair, nested too deeply) is left
//! out and noted: whoever may write one split's weights must not stop the others'. So are the
//! largest entries of a document that has too many values ([`Room`]). What stands outside of entries
//! must be readable. One pass over the bytes, without recursion.

mod room;

use serde_json::{Map, Value};

use super::{MAX_DOCUMENT_VALUES, MAX_SPLITS, size};
use crate::problem::{Accepted, Problem};
use room::Room;

/// The fields that hold one entry a split.
const BY_SPLIT: [&str; 3] = ["splits", "weights", "draws"];

/// How deep an entry may be nested: no setting has more than ten levels. See docs/limits.md.
const MAX_DEPTH: usize = 32;

/// An entry that cannot be read.
pub(super) struct Unread {
    /// The field that it stands in.
    pub(super) field: &'static str,
    /// The split; `None` where not even that can be read.
    pub(super) split: Option<String>,
    /// What is wrong.
    pub(super) problem: Problem,
}

/// The fields of the object that `json` is, of so many values, without the entries that cannot be
/// read or find no room. `None`: it is no such object, or has too many values outside of entries.
pub(super) fn fields(json: &[u8], values: usize) -> Option<(Map<String, Value>, Vec<Unread>)> {
    let (mut fields, mut unread) = (Map::new(), Vec::new());
    let (mut by_split, mut others) = (Vec::new(), Vec::new());
    for member in members(json)? {
        let name = text(member.name)?;
        match by_split_field(&name).filter(|_| member.value.starts_with(b"{")) {
            Some(field) => by_split.push((field, members(member.value)?)),
            None => others.push((name, member.value)),
        }
    }
    let mut sizes = Vec::new();
    for (_, entries) in &by_split {
        for entry in entries {
            sizes.push(entry.values);
        }
    }
    let mut room = Room::of(values, &sizes)?;
    for (name, value) in others {
        fields.insert(name, serde_json::from_slice(value).ok()?);
    }
    for (field, members) in by_split {
        let entries = entries(members, &mut room, &mut Noted::of(field, &mut unread));
        fields.insert(field.to_owned(), entries);
    }
    Some((fields, unread))
}

/// Takes out the entries that find no room in a document of so many values. `None`: it has too many
/// outside of entries.
pub(super) fn take_large_entries(
    fields: &mut Map<String, Value>,
    values: usize,
    unread: &mut Vec<Unread>,
) -> Option<()> {
    let mut by_split: Vec<_> = fields
        .iter_mut()
        .filter_map(|(name, value)| Some((by_split_field(name)?, value.as_object_mut()?)))
        .collect();
    let all = by_split.iter().flat_map(|(_, entries)| entries.values());
    let sizes: Vec<usize> = all.map(size::of_value).collect();
    let mut room = Room::of(values, &sizes)?;
    for (field, entries) in &mut by_split {
        let mut noted = Noted::of(field, unread);
        for (split, value) in entries.iter_mut() {
            let values = size::of_value(value);
            if !room.takes(values) {
                *value = Value::Null;
                noted.too_large(Some(split.clone()), values);
            }
        }
    }
    Some(())
}

fn by_split_field(name: &str) -> Option<&'static str> {
    BY_SPLIT.into_iter().find(|field| name == *field)
}

/// The entries of a field that are left out. No more than are enough to tell that there are too many
/// splits, or that they name none.
struct Noted<'u> {
    field: &'static str,
    unread: &'u mut Vec<Unread>,
    before: usize,
}

impl<'u> Noted<'u> {
    fn of(field: &'static str, unread: &'u mut Vec<Unread>) -> Self {
        let before = unread.len();
        Self {
            field,
            unread,
            before,
        }
    }

    fn add(&mut self, split: Option<String>, found: &str, accepted: Accepted) {
        if self.unread.len() - self.before > MAX_SPLITS {
            return;
        }
        let path = match &split {
            Some(split) => format!("{}.{split}", self.field),
            None => self.field.to_owned(),
        };
        self.unread.push(Unread {
            field: self.field,
            split,
            problem: Problem::new(path, format!("{found}, ignored"), accepted),
        });
    }

    fn too_large(&mut self, split: Option<String>, values: usize) {
        let found = format!("no room for its {values} values");
        let accepted =
            format!("at most {MAX_DOCUMENT_VALUES} in all, those of small entries first");
        self.add(split, &found, Accepted::rule(accepted));
    }
}

/// Takes out the entries that are nested deeper than any setting, so that whoever reads the
/// document takes it for the same: what a parser bears differs from one to the next.
pub(super) fn take_deep_entries(fields: &mut Map<String, Value>, unread: &mut Vec<Unread>) {
    for field in BY_SPLIT {
        let Some(entries) = fields.get_mut(field).and_then(Value::as_object_mut) else {
            continue;
        };
        let mut noted = Noted::of(field, unread);
        entries.retain(|split, value| {
            let is_kept = is_within(value, MAX_DEPTH);
            if !is_kept {
                let accepted = Accepted::rule(format!("at most {MAX_DEPTH} levels"));
                noted.add(Some(split.clone()), "too deeply nested", accepted);
            }
            is_kept
        });
    }
}

fn is_within(value: &Value, levels: usize) -> bool {
    let is_within_one_less = |value| levels > 0 && is_within(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().all(is_within_one_less),
        Value::Object(fields) => fields.values().all(is_within_one_less),
        _ => true,
    }
}

fn entries(members: Vec<Member<'_>>, room: &mut Room, noted: &mut Noted<'_>) -> Value {
    let mut entries = Map::new();
    for Member {
        name,
        value,
        values,
    } in members
    {
        let split = text(name);
        if !room.takes(values) {
            noted.too_large(split, values);
            continue;
        }
        let found = match (split.clone(), serde_json::from_slice(value)) {
            (Some(split), Ok(value)) => {
                entries.insert(split, value);
                continue;
            }
            (Some(_), Err(error)) => error.to_string(),
            (None, _) => "a name that is no text".to_owned(),
        };
        noted.add(split, &found, Accepted::value("JSON"));
    }
    Value::Object(entries)
}

fn text(json: &[u8]) -> Option<String> {
    match serde_json::from_slice(json) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A name and a value of an object, as they stand there.
struct Member<'j> {
    name: &'j [u8],
    value: &'j [u8],
    /// How many values the value has.
    values: usize,
}

/// The members of an object. `None`: it is none.
fn members(json: &[u8]) -> Option<Vec<Member<'_>>> {
    let mut rest = Rest(json);
    let mut members = Vec::new();
    rest.take(b'{')?;
    if rest.take(b'}').is_none() {
        loop {
            let name = rest.value()?;
            rest.take(b':')?;
            let value = rest.value()?;
            members.push(Member {
                name,
                value,
                values: size::of_json(value),
            });
            if rest.take(b',').is_none() {
                break rest.take(b'}')?;
            }
        }
    }
    rest.0.trim_ascii().is_empty().then_some(members)
}

/// What is left to read.
struct Rest<'j>(&'j [u8]);

impl<'j> Rest<'j> {
    fn take(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.trim_ascii_start().strip_prefix(&[byte])?;
        Some(())
    }

    /// One value, of which only its end is known.
    fn value(&mut self) -> Option<&'j [u8]> {
        let json = self.0.trim_ascii_start();
        let (value, rest) = json.split_at_checked(end_of_value(json)?)?;
        self.0 = rest;
        Some(value)
    }
}

fn end_of_value(json: &[u8]) -> Option<usize> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in json.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => {
                is_text = !is_text;
                if !is_text && depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
