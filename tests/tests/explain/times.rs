//! Times agree with the log: nothing is counted twice or left out.

use std::time::Duration;

use cache_core::Timestamp;
use serde_json::Value;

use super::Rebuild;

const HANDED: [&str; 9] = [
    "base-file-changed",
    "build-arg-changed",
    "command-changed",
    "file-renamed",
    "min-lost-stages",
    "no-cache",
    "nothing-changed",
    "package-file-changed",
    "source-file-changed",
];

/// The time of each step in its last event in the log: from start to end, unless it was cached.
fn time_of_steps_that_ran(rebuild: &Rebuild) -> Duration {
    let log = std::fs::read_to_string(rebuild.path().join("new.rawjson")).unwrap();
    let mut last: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line).unwrap();
        for event in line["vertexes"].as_array().into_iter().flatten().filter(|event| event["completed"].is_string()) {
            last.insert(event["digest"].as_str().unwrap().to_owned(), event.clone());
        }
    }
    let is_step = |event: &&Value| event["name"].as_str().unwrap().contains('/') && event["inputs"].is_array();
    let ran = last.values().filter(is_step).filter(|event| event["cached"] != Value::Bool(true));
    let time = |event: &Value, key: &str| event[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    ran.map(|event| time(event, "completed").since(time(event, "started"))).sum()
}

#[tokio::test]
async fn lost_time_adds_up_to_that_of_the_log() {
    for fixture in HANDED {
        let rebuild = Rebuild(fixture);
        let found = rebuild.explain().await;
        assert_eq!(found.times.missed, time_of_steps_that_ran(&rebuild), "{fixture}");
        let of_causes: Duration = found.causes.iter().map(|group| group.time).sum();
        assert_eq!(of_causes, found.times.missed, "{fixture}: every miss is under one cause");
        let of_log: Duration = rebuild.log().vertices.iter().map(cache_ops::Vertex::time).sum();
        let times = found.times;
        assert_eq!(times.missed + times.hits + times.other, of_log, "{fixture}");
    }
}

#[tokio::test]
async fn the_most_expensive_cause_comes_first() {
    let found = Rebuild("min-lost-stages").explain().await;
    assert!(found.causes.windows(2).all(|pair| pair[0].time >= pair[1].time));
}
