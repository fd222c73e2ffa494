//! Argo CD's scripts of the example, run as Argo CD 3.6 runs them: by gopher-lua, with the object
//! as `obj`, and with the libraries base, package and table and two functions of os.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sluice_e2e_istio::kubernetes::documents;

use crate::world::World;

const SETTINGS: &str =
    include_str!("../../../../../wasmplugin/examples/12-gitops/argocd/argocd-cm.yaml");

/// What stands around a script: the object twice, and nothing that Argo CD does not lend.
const AROUND: &str = r#"
local print, same = print, nil
getmetatable("").__index = nil
string, io, math, debug, coroutine, channel = nil
os = {time = os.time, date = os.date}
function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do if not same(value, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end
local before = @OBJECT@
obj = @OBJECT@
local function script()
@SCRIPT@
end
"#;

/// Its settings, and what runs them.
pub struct Argo {
    interpreter: PathBuf,
    file: PathBuf,
    health: String,
    discovery: String,
    actions: BTreeMap<String, String>,
}

impl Argo {
    /// Reads the settings as Argo CD does.
    pub fn new(world: &World) -> Self {
        let settings = &documents(SETTINGS)[0]["data"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let of = |what: &str| {
            text(&settings[format!("resource.customizations.{what}.sluice.dev_Rollout")])
        };
        let actions = &documents(&of("actions"))[0];
        let definitions = actions["definitions"].as_array().unwrap().iter();
        Self {
            interpreter: world.chain.tools.go.join("glua"),
            file: world.chain.folder().join("argo.lua"),
            health: of("health"),
            discovery: text(&actions["discovery.lua"]),
            actions: definitions
                .map(|action| (text(&action["name"]), text(&action["action.lua"])))
                .collect(),
        }
    }

    /// An object's health, and what is said of it.
    pub fn health(&self, object: &Value) -> (String, String) {
        let said = self.run(
            &self.health,
            object,
            "local health = script() print(health.status) print(health.message)",
        );
        let (health, message) = said.split_once('\n').expect("two lines");
        (health.to_owned(), message.to_owned())
    }

    /// The actions that may be taken, by name.
    pub fn actions(&self, object: &Value) -> String {
        let said = self.run(
            &self.discovery,
            object,
            "local found = {}
            for name, action in pairs(script()) do
              assert(type(action.disabled) == 'boolean' and action.displayName, name)
              found[#found + 1] = name .. (action.disabled and '-' or '+')
            end
            table.sort(found)
            print(table.concat(found, ' '))",
        );
        let known: Vec<&str> = said
            .split(' ')
            .map(|name| &name[..name.len() - 1])
            .collect();
        assert_eq!(
            known,
            self.actions.keys().collect::<Vec<_>>(),
            "each has a definition"
        );
        let possible = said.split(' ').filter_map(|name| name.strip_suffix('+'));
        possible.collect::<Vec<_>>().join(" ")
    }

    /// What an action leaves in the annotation, or why it is refused; it changes nothing else.
    pub fn act(&self, object: &Value, action: &str) -> Result<String, String> {
        let said = self.run(
            &self.actions[action],
            object,
            "local done, result = pcall(script)
            if not done then print('refused: ' .. result) return end
            local notes, key = result.metadata.annotations, 'sluice.dev/rollout-commands'
            print(notes[key])
            local former = before.metadata.annotations or {}
            notes[key], before.metadata.annotations = former[key], former
            assert(same(result, before), 'something else was changed')",
        );
        match said.strip_prefix("refused: ") {
            Some(why) => Err(why.to_owned()),
            None => Ok(said),
        }
    }

    fn run(&self, script: &str, object: &Value, then: &str) -> String {
        let text = AROUND.replace("@OBJECT@", &literal(object));
        let text = text.replace("@SCRIPT@", script) + then;
        std::fs::write(&self.file, text).unwrap();
        let output = Command::new(&self.interpreter).arg(&self.file).output();
        let output = output.expect("glua, which `make istio` builds");
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(
            output.status.success() && err.is_empty(),
            "{out}{err}\n{object:#}"
        );
        out.trim_end().to_owned()
    }
}

/// A value as Lua writes it; what is null is not there, as in Argo CD.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("{{{}}}", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields =
                fields.map(|(name, value)| format!("[{}] = {}", quoted(name), literal(value)));
            let fields: Vec<String> = fields.collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let bytes: String = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
    format!("\"{bytes}\"")
}
