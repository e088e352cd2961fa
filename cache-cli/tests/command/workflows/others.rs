//! The recipes for GitLab, Buildkite and Jenkins.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::places::Places;
use super::runner::Runner;
use super::{recipe, yaml};
use crate::sandbox::Sandbox;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn lines(script: &Value) -> Vec<String> {
    script.as_array().expect("a list of lines").iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

fn is_sound(spec: &str) {
    assert_eq!(Sandbox::empty().run(&["verify", spec]).code, 0);
}

#[test]
fn gitlab_builds_and_prunes() {
    let (places, runner) = (Places::new(), Runner::new());
    let pipeline = yaml(&recipe("gitlab-ci.yml"));
    let cache = places.registry();
    for target in pipeline["build"]["parallel"]["matrix"][0]["TARGET"].as_array().unwrap() {
        let given = [("CACHE", &*cache), ("TARGET", target.as_str().unwrap())];
        runner.scripts(&lines(&pipeline["build"]["script"]), &variables(&given));
    }
    is_sound(&cache);
    runner
        .scripts(&lines(&pipeline["prune"]["script"]), &variables(&[("CACHE", &cache), ("CI_DEFAULT_BRANCH", "main")]));
    is_sound(&cache);
}

#[test]
fn buildkite_builds_and_prunes() {
    let (places, runner) = (Places::new(), Runner::new());
    let pipeline = yaml(&recipe("buildkite.yml"));
    let cache = format!("{},name=main", places.bucket());
    for step in pipeline["steps"].as_array().unwrap() {
        let Some(command) = step["command"].as_str() else { continue };
        let values = step["matrix"].as_array().cloned().unwrap_or_else(|| vec!["".into()]);
        for value in values {
            let command = command.replace("{{matrix}}", value.as_str().unwrap());
            runner.scripts(&[command], &variables(&[("CACHE", &cache)]));
        }
    }
    is_sound(&cache);
}

#[test]
fn jenkins_builds_and_prunes() {
    let runner = Runner::new();
    let pipeline = fs::read_to_string(recipe("Jenkinsfile")).unwrap();
    let is_balanced = |open: char, close: char| pipeline.matches(open).count() == pipeline.matches(close).count();
    assert!(is_balanced('{', '}') && is_balanced('(', ')'));
    let cache = runner.path("cache").display().to_string();
    let scripts: Vec<&str> = pipeline.split("'''").skip(1).step_by(2).collect();
    assert_eq!(scripts.len(), 2);
    for script in scripts {
        // Groovy removes `\` at the end of a line in such a text.
        runner.scripts(&[script.replace("\\\n", "")], &variables(&[("CACHE", &cache)]));
    }
    is_sound(&format!("type=local,src={cache},tag=main"));
}
