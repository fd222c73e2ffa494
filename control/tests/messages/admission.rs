//! What the API server says for us: the messages of the admission policies and of the definitions'
//! rules, from their YAML.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sluice::model::input;

use crate::wording;

const FOLDERS: [&str; 2] = ["wasmplugin/base", "wasmplugin/crds"];

/// Every message that stands beside an expression, and the file that has it.
pub(crate) fn messages(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in FOLDERS {
        for path in crate::files(&root.join(folder), ".yaml") {
            let file = path.strip_prefix(root).unwrap().display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            for document in input::parse(&file, &text).unwrap() {
                collect(&document.value, &file, &mut found);
            }
        }
    }
    found
}

fn collect(value: &Value, file: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, file, found)),
        Value::Object(fields) => {
            let is_rule = fields.contains_key("expression") || fields.contains_key("rule");
            if let Some(Value::String(message)) = fields.get("message").filter(|_| is_rule) {
                found.insert(wording::shown(message, |_| None), file.to_owned());
            }
            fields
                .values()
                .for_each(|field| collect(field, file, found));
        }
        _ => {}
    }
}
