//! An API server that lies, is silent or loses connections when it is told to; else it does what
//! the real one does with plugins and their history, as far as `sluice` sees it.
//!
//! What depends on the real one (conflicts of field managers, admission, etcd) is tested there
//! (`e2e/istio`).

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

/// The path of the plugin that every server has.
pub(crate) const PLUGIN: &str =
    "/apis/extensions.istio.io/v1alpha1/namespaces/a/wasmplugins/sluice";

/// Where its history is.
pub(crate) const REVISIONS: &str = "/apis/apps/v1/namespaces/a/controllerrevisions";

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// None in particular: it is done and answered.
    Passed,
    /// The connection ends before anything is done.
    LostBefore,
    /// It is done, then the connection ends.
    LostAfter,
    /// It is done, then others run these commands, then the connection ends.
    LostAmid(&'static [&'static str]),
    /// It is done after others have run these commands.
    Behind(&'static [&'static str]),
    /// Nothing is done and no answer comes.
    Silence,
    /// Nothing is done, and this is answered.
    Answer(u16, Value),
    /// It is done, and this is answered.
    Lie(Value),
}

/// A server, and what it holds by its path.
#[derive(Clone, Default)]
pub(crate) struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    /// Requests that begin like this get this, the next so many of them.
    fates: Arc<Mutex<Vec<(String, usize, Fate)>>>,
    port: u16,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl ApiServer {
    /// One with a WasmPlugin whose splits web and checkout have 10 % of everyone on their canary.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self {
            port,
            ..Self::default()
        };
        let canary = json!({"everyone": {"canary": 10}});
        let config = json!({"splits": {"web": {}, "checkout": {}}, "weights": {"web": canary, "checkout": canary}});
        server.put(PLUGIN, plugin("sluice", &config));
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = serving.clone();
                std::thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        server
    }

    /// The next so many requests that begin like this (`PATCH /apis/…`) meet this fate.
    pub(crate) fn next(&self, request: impl Into<String>, times: usize, fate: Fate) {
        let mut fates = self.fates.lock().unwrap();
        fates.push((request.into(), times, fate));
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.objects.lock().unwrap().insert(path.to_owned(), object);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.objects.lock().unwrap().remove(path);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(path).cloned()
    }

    /// The weight of everyone's canary in the plugin.
    pub(crate) fn weight(&self, split: &str) -> Value {
        let plugin = self.get(PLUGIN).unwrap();
        plugin["spec"]["pluginConfig"]["weights"][split]["everyone"]["canary"].clone()
    }

    /// The objects of a list, as they are sorted by name.
    pub(crate) fn all(&self, list: &str) -> Vec<Value> {
        let objects = self.objects.lock().unwrap();
        let all = objects.iter().filter(|(path, _)| path.starts_with(list));
        all.map(|(_, object)| object.clone()).collect()
    }

    /// The revisions of the history: what `data` holds.
    pub(crate) fn history(&self) -> Vec<Value> {
        let revisions = self.all(REVISIONS).into_iter();
        revisions
            .map(|mut revision| revision["data"].take())
            .collect()
    }

    /// Runs `sluice` on the server.
    pub(crate) fn sluice(&self, arguments: &str) -> Said {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let server = format!("http://127.0.0.1:{}", self.port);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "a"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .env_clear()
            .env("USER", "ann")
            .env("KUBECONFIG", kubeconfig)
            .output()
            .unwrap();
        Said {
            code: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap() == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let request = head[0].trim_end_matches(" HTTP/1.1").to_owned();
        let Some((code, answer)) = self.fated(&request, &body) else {
            return;
        };
        let answer = answer.to_string();
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let stream = stream.get_mut();
        stream.write_all((head + &answer).as_bytes()).unwrap();
    }

    /// What is answered; `None` where the connection ends.
    fn fated(&self, request: &str, body: &Value) -> Option<(u16, Value)> {
        match self.next_fate(request) {
            None | Some(Fate::Passed) => Some(self.answer(request, body)),
            Some(Fate::LostBefore) => None,
            Some(Fate::LostAfter) => {
                self.answer(request, body);
                None
            }
            Some(Fate::LostAmid(commands)) => {
                self.answer(request, body);
                self.others_run(commands);
                None
            }
            Some(Fate::Behind(commands)) => {
                self.others_run(commands);
                Some(self.answer(request, body))
            }
            // Longer than anybody waits; the thread ends with the test.
            Some(Fate::Silence) => loop {
                std::thread::park();
            },
            Some(Fate::Answer(code, answer)) => Some((code, answer)),
            Some(Fate::Lie(answer)) => {
                self.answer(request, body);
                Some((200, answer))
            }
        }
    }

    fn others_run(&self, commands: &[&str]) {
        for command in commands {
            let said = self.sluice(command);
            assert_eq!(said.code, 0, "{command}: {said:?}");
        }
    }

    fn next_fate(&self, request: &str) -> Option<Fate> {
        let mut fates = self.fates.lock().unwrap();
        let mut fates = fates
            .iter_mut()
            .filter(|(begins, times, _)| *times > 0 && request.starts_with(begins.as_str()));
        let (_, times, fate) = fates.next()?;
        *times -= 1;
        Some(fate.clone())
    }

    fn answer(&self, request: &str, body: &Value) -> (u16, Value) {
        let (method, url) = request.split_once(' ').unwrap();
        let (path, _) = url.split_once('?').unwrap_or((url, ""));
        let path = path.trim_end_matches('/');
        let mut objects = self.objects.lock().unwrap();
        let present = objects.get(path).cloned();
        match (method, present) {
            ("POST", _) if path.ends_with("selfsubjectreviews") => (
                201,
                json!({"status": {"userInfo": {"username": "ann@example.com"}}}),
            ),
            ("POST", _) => {
                let metadata = &body["metadata"];
                let name = metadata["name"]
                    .as_str()
                    .or(metadata["generateName"].as_str());
                let path = format!("{path}/{}", name.unwrap());
                if objects.contains_key(&path) {
                    return failure(409, "already exists");
                }
                let mut made = body.clone();
                made["metadata"]["resourceVersion"] = json!("1");
                made["metadata"]["generation"] = json!(1);
                objects.insert(path, made.clone());
                (201, made)
            }
            ("GET", Some(object)) => (200, object),
            ("GET", None) if is_list(path) => (200, listed(&objects, path)),
            ("DELETE", Some(_)) => {
                objects.remove(path);
                (200, json!({"kind": "Status", "status": "Success"}))
            }
            ("PATCH", Some(object)) => {
                let (code, answer) = patched(&object, body, url);
                if code == 200 && !url.contains("dryRun=All") {
                    objects.insert(path.to_owned(), answer.clone());
                }
                (code, answer)
            }
            _ => failure(404, "not found"),
        }
    }
}

/// A WasmPlugin of the namespace a.
pub(crate) fn plugin(name: &str, config: &Value) -> Value {
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {
            "name": name, "namespace": "a", "uid": format!("0123456789-{name}"),
            "generation": 1, "resourceVersion": "1",
        },
        "spec": {"pluginConfig": config},
    })
}

/// A refusal, as the API server words it.
pub(crate) fn failure(code: u16, message: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {}, "message": message,
        "reason": "", "code": code,
    });
    (code, status)
}

fn is_list(path: &str) -> bool {
    [
        "wasmplugins",
        "trafficextensions",
        "controllerrevisions",
        "rollouts",
    ]
    .iter()
    .any(|kind| path.ends_with(kind))
}

/// What lies right below a path, or in every namespace.
fn listed(objects: &BTreeMap<String, Value>, path: &str) -> Value {
    let kind = path.rsplit('/').next().unwrap();
    let is_listed = |object: &str| {
        let (folder, _) = object.rsplit_once('/').unwrap();
        folder == path || (!path.contains("/namespaces/") && folder.ends_with(kind))
    };
    let listed = objects.iter().filter(|(object, _)| is_listed(object));
    let items: Vec<&Value> = listed.map(|(_, object)| object).collect();
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
}

/// The object after a patch; of a server-side apply, only what one manager needs.
fn patched(object: &Value, patch: &Value, url: &str) -> (u16, Value) {
    for field in ["uid", "resourceVersion"] {
        let wanted = &patch["metadata"][field];
        if !wanted.is_null() && *wanted != object["metadata"][field] {
            return failure(409, "the object has been modified");
        }
    }
    let mut after = object.clone();
    json_patch::merge(&mut after, patch);
    if after == *object || url.contains("dryRun=All") {
        return (200, after);
    }
    let metadata = &mut after["metadata"];
    let version = object["metadata"]["resourceVersion"].as_str().unwrap();
    let version: u64 = version.parse().unwrap();
    metadata["resourceVersion"] = json!((version + 1).to_string());
    let (_, manager) = url.split_once("fieldManager=").unwrap();
    let manager = manager.split('&').next().unwrap().replace("%2F", "/");
    let fields = json!({"f:spec": fields(&patch["spec"])});
    let operation = if manager == "sluice/all" {
        "Update"
    } else {
        "Apply"
    };
    let entry = json!({"manager": manager, "operation": operation, "fieldsV1": fields});
    let managers = metadata["managedFields"].as_array().cloned();
    let managers = managers.unwrap_or_default().into_iter();
    let mut managers: Vec<Value> = managers
        .filter(|entry| entry["manager"] != json!(manager))
        .collect();
    managers.push(entry);
    metadata["managedFields"] = json!(managers);
    if after["spec"] != object["spec"] {
        let generation = object["metadata"]["generation"].as_u64().unwrap();
        after["metadata"]["generation"] = json!(generation + 1);
    }
    (200, after)
}

/// The names of a value as managedFields have them.
fn fields(value: &Value) -> Value {
    let names = value.as_object().into_iter().flatten();
    let names = names.map(|(name, value)| (format!("f:{name}"), fields(value)));
    Value::Object(names.collect::<Map<_, _>>())
}
