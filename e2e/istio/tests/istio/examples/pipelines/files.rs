//! What GitLab and GitHub read of a pipeline's file: the jobs in their order, and the variables that
//! a script sees. It runs nothing; the test of the pipelines does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A job: its name, and its script, a command each.
pub type Job = (String, Vec<String>);

/// The jobs of GitLab's file, in the order of its stages.
pub fn gitlab(file: &Value) -> Vec<Job> {
    let stages = file["stages"].as_array().unwrap().iter();
    let of_stage = stages.flat_map(|stage| {
        let jobs = file.as_object().unwrap().iter();
        jobs.filter(move |(_, job)| job["stage"] == *stage)
    });
    let script = |job: &Value| -> Vec<String> {
        let lines = job["script"].as_array().unwrap().iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    };
    of_stage
        .map(|(name, job)| (name.clone(), script(job)))
        .collect()
}

/// The jobs of GitHub's file, each after the one that it needs.
pub fn github(file: &Value) -> Vec<Job> {
    let jobs = file["jobs"].as_object().unwrap();
    let (mut ordered, mut before) = (Vec::new(), Value::Null);
    while let Some((name, job)) = jobs.iter().find(|(_, job)| job["needs"] == before) {
        let steps = job["steps"].as_array().unwrap().iter();
        let script = steps.filter_map(|step| Some(step["run"].as_str()?.to_owned()));
        ordered.push((name.clone(), script.collect()));
        before = json!(name);
    }
    assert_eq!(ordered.len(), jobs.len(), "a job needs what is not there");
    ordered
}

/// GitLab's variables: what the file declares, with what GitLab knows put in.
pub fn gitlab_variables(file: &Value, known: &[(&str, &str)]) -> BTreeMap<String, String> {
    let put_in = |value: &Value| {
        let mut value = value.as_str().expect("a text").to_owned();
        for (name, text) in known {
            value = value.replace(&format!("${name}"), text);
        }
        assert!(!value.contains('$'), "{value} is nothing that GitLab knows");
        value
    };
    let declared = file["variables"].as_object().unwrap().iter();
    declared
        .map(|(name, value)| (name.clone(), put_in(value)))
        .collect()
}

/// GitHub's environment: what the file declares for all jobs and for each, and nothing else, since
/// its settings reach a script only so. What is not set is empty there.
pub fn github_environment(file: &Value, known: &[(&str, &str)]) -> BTreeMap<String, String> {
    let jobs = file["jobs"].as_object().unwrap().values();
    let declared = [file].into_iter().chain(jobs);
    let declared = declared.filter_map(|part| part["env"].as_object());
    declared
        .flatten()
        .map(|(name, value)| (name.clone(), evaluated(value.as_str().unwrap(), known)))
        .collect()
}

/// A text in which GitHub's expressions stand: `${{ NAME }}`, or `${{ NAME || 'DEFAULT' }}`.
fn evaluated(text: &str, known: &[(&str, &str)]) -> String {
    let Some((before, rest)) = text.split_once("${{ ") else {
        return text.to_owned();
    };
    let (expression, after) = rest.split_once(" }}").expect("an expression's end");
    let (name, default) = expression.split_once(" || ").unwrap_or((expression, "''"));
    let set = known.iter().find(|(known, _)| *known == name);
    let is_setting = name.starts_with("vars.") || name.starts_with("secrets.");
    assert!(set.is_some() || is_setting, "GitHub does not know {name}");
    let value = set.map_or(default.trim_matches('\''), |(_, value)| value);
    format!("{before}{value}{}", evaluated(after, known))
}
