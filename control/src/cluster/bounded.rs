//! Requests for objects whose content others may write: read to a bounded depth, so that no object
//! can make a whole list unreadable, and in bounded lists.
//!
//! serde_json refuses everything that is nested deeper than 128 levels, and with it every other
//! object of the same answer. Here what lies deeper is cut off where it stands. What remains of it
//! is still deeper than the filter reads, so it is judged as the filter judges it.

use std::ops::ControlFlow;
use std::time::Duration;

use kube::api::{
    DeleteParams, DynamicObject, GetParams, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::{ApiResource, GroupVersionKind, Request, Resource as _};
use kube::{Client, Error, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::answers::{self, AnswerError};

/// How deep an answer is read. Chosen: a configuration lies five levels deep in it, and the filter
/// reads no deeper than 128 levels of that.
const MAX_ANSWER_DEPTH: usize = 160;

/// How many objects one answer of a list may have. Chosen: a megabyte or so.
const MAX_PAGE: u32 = 250;

/// How many answers a list may have. Chosen: a quarter of a million objects.
const MAX_PAGES: usize = 1_000;

/// How many bytes the answers of a list may have together. Chosen: what is made of them takes some
/// times as much memory.
const MAX_LIST_BYTES: usize = 256 * 1024 * 1024;

/// How long a list may take in all. Chosen: a thousand plugins take a second.
const MAX_LIST_SECONDS: u64 = 120;

/// The kind of a name in an API version such as `apps/v1`, or `v1`.
pub(super) fn kind_named(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::gvk(group, version, kind)
}

/// One answer of a list.
struct Page {
    items: Vec<Value>,
    /// What asks for the next one.
    next: Option<String>,
    bytes: usize,
}

/// Objects of one kind, in one namespace or in all.
pub(super) struct Objects<'a> {
    client: &'a Client,
    request: Request,
    plural: String,
}

impl<'a> Objects<'a> {
    /// Those of a namespace; without one, of all.
    pub(super) fn of(client: &'a Client, resource: &ApiResource, namespace: Option<&str>) -> Self {
        let request = Request::new(DynamicObject::url_path(resource, namespace));
        let plural = resource.plural.clone();
        Self {
            client,
            request,
            plural,
        }
    }

    /// One object.
    pub(super) async fn get(&self, name: &str) -> Result<DynamicObject> {
        let request = self.request.get(name, &GetParams::default());
        object(self.answer(request).await?)
    }

    /// Every object that the parameters select and that could be read, and why not all could. One
    /// that is none is left out: the API server sends none.
    pub(super) async fn list(&self, parameters: ListParams) -> (Vec<DynamicObject>, Option<Error>) {
        let mut objects = Vec::new();
        let visit = self.visit(parameters.limit(MAX_PAGE), |object| {
            objects.push(object);
            ControlFlow::Continue(())
        });
        let visited = visit.await;
        (objects, visited.err())
    }

    /// Sees each object that the parameters select, in answers of as many as they say, until it was
    /// enough.
    pub(super) async fn visit(
        &self,
        mut parameters: ListParams,
        mut see: impl FnMut(DynamicObject) -> ControlFlow<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(MAX_LIST_SECONDS);
        let mut left = MAX_LIST_BYTES;
        for _ in 0..MAX_PAGES {
            let page = timeout_at(deadline, self.page(&parameters)).await;
            let page = page.unwrap_or_else(|_| {
                Err(self.endless("takes longer", format!("{MAX_LIST_SECONDS} s")))
            });
            let limit = parameters.limit.unwrap_or(MAX_PAGE);
            let page = match page {
                Ok(page) => page,
                // The API server stores no object that would be too long alone.
                Err(error) if answers::is_too_long(&error) && limit > 1 => {
                    parameters.limit = Some((limit / 8).max(1));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut items = page.items.into_iter().filter_map(|item| object(item).ok());
            if items.try_for_each(&mut see).is_break() {
                return Ok(());
            }
            let Some(token) = page.next else {
                return Ok(());
            };
            parameters.continue_token = Some(token);
            left = match left.checked_sub(page.bytes) {
                Some(left) => left,
                None => {
                    let accepted = format!("{MAX_LIST_BYTES} bytes");
                    return Err(self.endless("has more bytes", accepted));
                }
            };
        }
        let accepted = format!("{MAX_PAGES} answers");
        Err(self.endless("goes on and on", accepted))
    }

    fn endless(&self, found: &'static str, accepted: String) -> Error {
        let kind = self.plural.clone();
        Error::Service(
            AnswerError::EndlessList {
                kind,
                found,
                accepted,
            }
            .into(),
        )
    }

    async fn page(&self, parameters: &ListParams) -> Result<Page> {
        let text = self.text(self.request.list(parameters)).await?;
        let mut answer = read(&text).map_err(Error::SerdeError)?;
        let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) else {
            return Err(unexpected("the answer is no list: it has no items"));
        };
        let token = answer.pointer("/metadata/continue").and_then(Value::as_str);
        let token = token.filter(|token| !token.is_empty());
        Ok(Page {
            items,
            next: token.map(str::to_owned),
            bytes: text.len(),
        })
    }

    /// Makes one object; what it is then.
    pub(super) async fn create(
        &self,
        parameters: &PostParams,
        value: &Value,
    ) -> Result<DynamicObject> {
        let bytes = serde_json::to_vec(value).map_err(Error::SerdeError)?;
        object(self.answer(self.request.create(parameters, bytes)).await?)
    }

    /// Changes one object; what it is then.
    pub(super) async fn patch(
        &self,
        name: &str,
        parameters: &PatchParams,
        patch: &Patch<&Value>,
    ) -> Result<DynamicObject> {
        let request = self.request.patch(name, parameters, patch);
        object(self.answer(request).await?)
    }

    /// Deletes one object.
    pub(super) async fn delete(&self, name: &str, parameters: &DeleteParams) -> Result<()> {
        self.text(self.request.delete(name, parameters))
            .await
            .map(drop)
    }

    async fn answer(
        &self,
        request: Result<hyper::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value> {
        read(&self.text(request).await?).map_err(Error::SerdeError)
    }

    async fn text(
        &self,
        request: Result<hyper::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<String> {
        let request = request.map_err(Error::BuildRequest)?;
        self.client.request_text(request).await
    }
}

/// An answer that is not what was asked for.
pub(crate) fn unexpected(what: impl std::fmt::Display) -> Error {
    Error::SerdeError(serde::de::Error::custom(what))
}

fn object(value: Value) -> Result<DynamicObject> {
    serde_json::from_value(value).map_err(Error::SerdeError)
}

/// Reads JSON of any depth; what is nested deeper than [`MAX_ANSWER_DEPTH`] is null.
fn read(text: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // `Bounded` goes no deeper than it is told, and what is ignored is skipped without recursion.
    deserializer.disable_recursion_limit();
    let value = Bounded {
        depth: MAX_ANSWER_DEPTH,
    }
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A value of which what is nested deeper than so many levels is null, out of any deserializer.
///
/// # Errors
/// Those of the deserializer.
pub(crate) fn value<'de, D: Deserializer<'de>>(
    deserializer: D,
    depth: usize,
) -> Result<Value, D::Error> {
    Bounded { depth }.deserialize(deserializer)
}

/// A value of so many levels.
#[derive(Clone, Copy)]
struct Bounded {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth == 0 {
            deserializer.deserialize_ignored_any(IgnoredAny)?;
            return Ok(Value::Null);
        }
        deserializer.deserialize_any(Bounded {
            depth: self.depth - 1,
        })
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            values.insert(name, fields.next_value_seed(self)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn json_reads_as_serde_json_reads_it() {
        let text = r#"{"a": [null, true, -1, 18446744073709551615, 0.1, "x\n"], "b": {}}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text).unwrap(), expected);
        for broken in ["{", "[1,]", "1 2"] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_cut_off_and_hides_nothing_beside_it() {
        for levels in [125, 10_000, 300_000] {
            let text = format!(r#"{{"a": {}, "b": 2}}"#, nested(levels));
            let value = read(&text).unwrap();
            assert_eq!(value["b"], json!(2), "{levels}");
            let again = serde_json::to_vec(&value["a"]).unwrap();
            let is_read = serde_json::from_slice::<Value>(&again).is_ok();
            assert_eq!(
                is_read,
                levels < 128,
                "{levels} levels, as the filter reads"
            );
        }
    }
}
