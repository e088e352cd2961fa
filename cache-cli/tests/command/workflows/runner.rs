//! Runs jobs of workflows and steps of composite actions like GitHub's runner, as far as the recipes need.
//!
//! Other actions do nothing, except for those that pass on files or variables. `docker` is a stand-in that writes a
//! cache of real BuildKit to the destination of an export, or runs the build with the `buildctl` and the daemon of the
//! environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::expression::{fill, holds, shown};
use crate::sandbox::copy_dir;

/// Variables that the runner passes to actions in JavaScript, but not to scripts.
const RUNTIME: [&str; 3] = ["ACTIONS_RUNTIME_TOKEN", "ACTIONS_RESULTS_URL", "ACTIONS_CACHE_SERVICE_V2"];
const DOCKER: &str = include_str!("docker.sh");
/// The parts of `actions/github-script` that are used.
const SCRIPT: &str = r#"
const fs = require('fs');
const core = {
  exportVariable: (name, value) => fs.appendFileSync(process.env.GITHUB_ENV, `${name}=${value}\n`),
  setSecret: () => {},
};
"#;

/// A machine for jobs. Jobs share its disk, but not their environments.
pub(crate) struct Runner {
    folder: TempDir,
    /// The values of `github.…`, `secrets.…` and `vars.…`.
    pub(crate) contexts: Map<String, Value>,
    /// Variables of workflows and jobs that are replaced by places on this machine.
    pub(crate) places: BTreeMap<String, String>,
    /// Variables that only actions in JavaScript see.
    pub(crate) runtime: BTreeMap<String, String>,
}

/// The exit code of the step that failed, and its output.
pub(crate) type Failed = (i32, String);

/// What the steps of a job pass on to later ones.
#[derive(Default, Clone)]
struct State {
    variables: BTreeMap<String, String>,
    paths: Vec<String>,
    steps: Map<String, Value>,
}

impl Runner {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["bin", "work", "home", "temp", "artifacts"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let github = json!({ "repository": "team/app", "actor": "somebody", "token": "x" });
        let contexts = Map::from_iter([
            ("github".to_owned(), github),
            ("secrets".to_owned(), json!({ "GITHUB_TOKEN": "x" })),
            ("runner".to_owned(), json!({ "os": "Linux" })),
        ]);
        let runner = Self { folder, contexts, places: BTreeMap::new(), runtime: BTreeMap::new() };
        runner.program("docker", DOCKER);
        runner.program("buildcache", &format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_buildcache")));
        runner
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Installs a program for all steps.
    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Runs every job of a workflow after the jobs that it needs, once for each value of its matrix.
    pub(crate) fn workflow(&self, workflow: &Value) {
        let mut waiting: Vec<(&String, &Value)> =
            workflow["jobs"].as_object().expect("a workflow has jobs").iter().collect();
        while !waiting.is_empty() {
            let is_free = |(_, job): &(&String, &Value)| waiting.iter().all(|(other, _)| job["needs"] != **other);
            let next = waiting.iter().position(is_free).expect("no two jobs need each other");
            let (name, job) = waiting.remove(next);
            self.job(name, job, workflow);
        }
    }

    fn job(&self, name: &str, job: &Value, workflow: &Value) {
        for matrix in matrix(job) {
            let mut contexts = self.contexts.clone();
            contexts.insert("matrix".to_owned(), matrix);
            let mut state = State::default();
            for environment in [&workflow["env"], &job["env"]] {
                self.set(environment, &mut state, &contexts);
            }
            contexts.insert("env".to_owned(), json!(state.variables));
            if job["if"].as_str().is_none_or(|condition| holds(condition, &Value::Object(contexts.clone()))) {
                self.steps(name, &job["steps"], contexts, &mut state).unwrap();
            }
        }
    }

    /// Runs scripts one after the other with these variables, as in jobs of other services.
    pub(crate) fn scripts(&self, scripts: &[String], variables: &BTreeMap<String, String>) {
        let state = State { variables: variables.clone(), ..State::default() };
        let output = self.bash(&scripts.join("\n"), &state, &BTreeMap::new());
        assert!(output.status.success(), "{scripts:?}\n{}", text(&output));
    }

    /// Runs the action in the folder `action` with these inputs, and returns its outputs.
    pub(crate) fn action(&self, inputs: &Value) -> Result<Map<String, Value>, Failed> {
        let inputs = inputs.as_object().expect("inputs have names");
        self.composite(inputs, &self.contexts, &mut State::default())
    }

    fn steps(
        &self,
        job: &str,
        steps: &Value,
        mut contexts: Map<String, Value>,
        state: &mut State,
    ) -> Result<(), Failed> {
        for step in steps.as_array().expect("a job has steps") {
            contexts.insert("steps".to_owned(), Value::Object(state.steps.clone()));
            contexts.insert("env".to_owned(), json!(state.variables));
            let all = Value::Object(contexts.clone());
            if !step["if"].as_str().is_none_or(|condition| holds(condition, &all)) {
                continue;
            }
            let mut own = BTreeMap::new();
            for (name, value) in step["env"].as_object().into_iter().flatten() {
                own.insert(name.clone(), fill(value.as_str().unwrap_or_default(), &all));
            }
            if let Some(script) = step["run"].as_str() {
                self.run(&fill(script, &all), step, own, state)
                    .map_err(|(code, said)| (code, format!("{job}: {said}")))?;
            } else {
                let uses = step["uses"].as_str().expect("a step runs or uses something");
                self.uses(uses, &step["with"], &contexts, state)?;
            }
        }
        Ok(())
    }

    fn run(&self, script: &str, step: &Value, own: BTreeMap<String, String>, state: &mut State) -> Result<(), Failed> {
        let mut own = own;
        if let Some(folder) = state.variables.get("GITHUB_ACTION_PATH") {
            assert_eq!(step["shell"], "bash", "a step of a composite action names its shell");
            own.insert("GITHUB_ACTION_PATH".to_owned(), folder.clone());
        }
        let output = self.bash(script, state, &own);
        self.take_over(step["id"].as_str(), state);
        let code = output.status.code().unwrap_or(-1);
        if code == 0 { Ok(()) } else { Err((code, format!("{script}\n{}", text(&output)))) }
    }

    fn uses(&self, uses: &str, with: &Value, contexts: &Map<String, Value>, state: &mut State) -> Result<(), Failed> {
        let all = Value::Object(contexts.clone());
        let input = |name: &str| fill(with[name].as_str().unwrap_or_default(), &all);
        let (action, version) = uses.split_once('@').expect("an action has a version");
        assert!(!version.is_empty());
        match action {
            "OWNER/buildcache" => {
                let mut inner = state.clone();
                let given = with.as_object().into_iter().flatten();
                let inputs = given.map(|(name, value)| (name.clone(), fill(&shown(value), &all).into())).collect();
                self.composite(&inputs, contexts, &mut inner)?;
                state.variables.extend(inner.variables.into_iter().filter(|(name, _)| name != "GITHUB_ACTION_PATH"));
                state.paths = inner.paths;
            }
            "actions/github-script" => self.node(&input("script"), state),
            "actions/upload-artifact" => {
                copy_dir(&self.path("work").join(input("path")), &self.path("artifacts").join(input("name")));
                // The next job runs on another machine.
                fs::remove_dir_all(self.path("work").join(input("path"))).unwrap();
            }
            "actions/download-artifact" => {
                copy_dir(&self.path("artifacts").join(input("name")), &self.path("work").join(input("path")));
            }
            _ => {}
        }
        Ok(())
    }

    fn composite(
        &self,
        given: &Map<String, Value>,
        contexts: &Map<String, Value>,
        state: &mut State,
    ) -> Result<Map<String, Value>, Failed> {
        let folder = self.path("action");
        let action = super::yaml(&folder.join("action.yml"));
        let mut inputs = Map::new();
        for (name, input) in action["inputs"].as_object().expect("an action has inputs") {
            let value = given.get(name).map_or_else(|| shown(&input["default"]), shown);
            inputs.insert(name.clone(), value.into());
        }
        assert!(given.keys().all(|name| inputs.contains_key(name)), "the action has no such input: {given:?}");
        let mut contexts = contexts.clone();
        contexts.insert("inputs".to_owned(), Value::Object(inputs));
        state.variables.insert("GITHUB_ACTION_PATH".to_owned(), folder.display().to_string());
        state.steps.clear();
        self.steps("action", &action["runs"]["steps"], contexts.clone(), state)?;
        contexts.insert("steps".to_owned(), Value::Object(state.steps.clone()));
        let all = Value::Object(contexts);
        let outputs = action["outputs"].as_object().into_iter().flatten();
        Ok(outputs.map(|(name, output)| (name.clone(), fill(&shown(&output["value"]), &all).into())).collect())
    }

    /// Runs a script like `actions/github-script`, which sees variables that other steps do not.
    fn node(&self, script: &str, state: &mut State) {
        let mut node = Command::new("node");
        node.arg("-e").arg(format!("{SCRIPT}\n{script}")).envs(&self.runtime).env("GITHUB_ENV", self.file("env"));
        let output = node.output().expect("node runs");
        assert!(output.status.success(), "{}", text(&output));
        self.take_over(None, state);
    }

    fn bash(&self, script: &str, state: &State, own: &BTreeMap<String, String>) -> Output {
        let mut paths = state.paths.clone();
        paths.push(self.path("bin").display().to_string());
        paths.push(std::env::var("PATH").unwrap_or_default());
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]);
        bash.current_dir(self.path("work")).stdin(Stdio::null()).env("HOME", self.path("home"));
        for name in RUNTIME.iter().chain(&["ACTIONS_CACHE_URL", "DOCKER_CONFIG"]) {
            bash.env_remove(name);
        }
        bash.env("PATH", paths.join(":")).env("RUNNER_TEMP", self.path("temp"));
        bash.env("RUNNER_OS", "Linux").env("RUNNER_ARCH", "X64").env("GITHUB_STEP_SUMMARY", self.path("summary"));
        for (name, file) in [("GITHUB_ENV", "env"), ("GITHUB_PATH", "path"), ("GITHUB_OUTPUT", "output")] {
            bash.env(name, self.file(file));
        }
        bash.env("FIXTURES", Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/local"));
        bash.env("BUILDS", self.path("builds")).envs(&state.variables).envs(own);
        bash.output().expect("bash runs")
    }

    /// An empty file for a step to write to.
    fn file(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "").unwrap();
        path
    }

    /// Reads what the last step has written for later ones.
    fn take_over(&self, id: Option<&str>, state: &mut State) {
        let lines = |name: &str| {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let pairs = |name: &str| {
            let pair = |line: String| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            lines(name).into_iter().filter_map(pair).collect::<BTreeMap<_, _>>()
        };
        state.variables.extend(pairs("env"));
        state.paths.splice(0..0, lines("path"));
        if let Some(id) = id {
            state.steps.insert(id.to_owned(), json!({ "outputs": pairs("output") }));
        }
        for name in ["env", "path", "output"] {
            self.file(name);
        }
    }

    /// Sets the variables of a workflow or job.
    fn set(&self, environment: &Value, state: &mut State, contexts: &Map<String, Value>) {
        let all = Value::Object(contexts.clone());
        for (name, value) in environment.as_object().into_iter().flatten() {
            let value = self.places.get(name).cloned().unwrap_or_else(|| fill(&shown(value), &all));
            state.variables.insert(name.clone(), value);
        }
    }
}

/// The values of a job's matrix.
fn matrix(job: &Value) -> Vec<Value> {
    let matrix = &job["strategy"]["matrix"];
    if let Some(include) = matrix["include"].as_array() {
        return include.clone();
    }
    let Some((name, values)) = matrix.as_object().and_then(|matrix| matrix.iter().next()) else {
        return vec![Value::Null];
    };
    values.as_array().expect("a list of values").iter().map(|value| json!({ name: value })).collect()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
