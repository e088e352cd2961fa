//! The causes of each fixture, and the steps that ran because of them.

use super::{Rebuild, told};

/// The expected causes of a fixture.
struct Expected {
    fixture: &'static str,
    causes: &'static [(&'static str, &'static str, &'static [&'static str])],
}

const DEPS_AND_BELOW: &[&str] = &["build 1/2", "build 2/2", "test 1/2", "test 2/2"];

const ALL_ON_BASE: &[&str] = &[
    "build 1/2",
    "build 2/2",
    "deps 2/3",
    "deps 3/3",
    "stage-4 1/3",
    "stage-4 2/3",
    "stage-4 3/3",
    "test 1/2",
    "test 2/2",
];

const TABLE: &[Expected] = &[
    Expected {
        fixture: "base-file-changed",
        causes: &[(
            "files-changed",
            "base 1/2",
            &[
                "base 2/2",
                "build 1/2",
                "build 2/2",
                "deps 1/3",
                "deps 2/3",
                "deps 3/3",
                "stage-4 1/3",
                "stage-4 2/3",
                "stage-4 3/3",
                "test 1/2",
                "test 2/2",
            ],
        )],
    },
    // The argument is in the environment of every later `RUN`. The stages have the same content, so the last one hits.
    Expected { fixture: "build-arg-changed", causes: &[("step-changed", "deps 3/3", DEPS_AND_BELOW)] },
    Expected { fixture: "env-changed", causes: &[("step-changed", "deps 3/3", DEPS_AND_BELOW)] },
    Expected { fixture: "command-changed", causes: &[("step-changed", "test 2/2", &["stage-4 2/3", "stage-4 3/3"])] },
    Expected { fixture: "mount-added", causes: &[("step-changed", "test 2/2", &[])] },
    Expected {
        fixture: "copy-dest",
        causes: &[("step-changed", "test 1/2", &["stage-4 2/3", "stage-4 3/3", "test 2/2"])],
    },
    Expected { fixture: "copy-link", causes: &[("step-changed", "build 1/2", &["build 1/2", "build 2/2"])] },
    Expected { fixture: "from-path", causes: &[("step-changed", "stage-4 1/3", &["stage-4 2/3", "stage-4 3/3"])] },
    Expected {
        fixture: "user-added",
        causes: &[(
            "step-changed",
            "deps 1/3",
            &["build 1/2", "build 2/2", "deps 2/3", "deps 3/3", "test 1/2", "test 2/2"],
        )],
    },
    Expected {
        fixture: "platform-386",
        causes: &[(
            "step-changed",
            "base 2/2",
            &[
                "build 1/2",
                "build 2/2",
                "deps 1/3",
                "deps 2/3",
                "deps 3/3",
                "stage-4 1/3",
                "stage-4 2/3",
                "stage-4 3/3",
                "test 1/2",
                "test 2/2",
            ],
        )],
    },
    // The written files are the same, so the last stage hits.
    Expected { fixture: "file-renamed", causes: &[("files-changed", "build 1/2", &["build 2/2"])] },
    Expected { fixture: "mode-changed", causes: &[("files-changed", "build 1/2", &["build 2/2"])] },
    Expected { fixture: "bind-mount", causes: &[("files-changed", "test 1/1", &[])] },
    Expected {
        fixture: "package-file-changed",
        causes: &[("files-changed", "deps 2/3", &["build 1/2", "build 2/2", "deps 3/3", "test 1/2", "test 2/2"])],
    },
    Expected {
        fixture: "source-file-changed",
        causes: &[("files-changed", "build 1/2", &["build 2/2", "stage-4 1/3", "stage-4 2/3", "stage-4 3/3"])],
    },
    Expected {
        fixture: "two-files",
        causes: &[
            ("files-changed", "build 1/2", &["build 2/2", "stage-4 1/3", "stage-4 2/3", "stage-4 3/3"]),
            ("files-changed", "test 1/2", &["test 2/2"]),
        ],
    },
    // A source file was changed too, so that the stages without stored results had to run.
    Expected {
        fixture: "min-lost-stages",
        causes: &[
            ("known-not-stored", "deps 1/3", &["deps 2/3", "deps 3/3", "test 1/2", "test 2/2"]),
            ("files-changed", "build 1/2", &["build 2/2", "stage-4 1/3", "stage-4 2/3", "stage-4 3/3"]),
        ],
    },
    Expected {
        fixture: "inline",
        causes: &[
            ("known-not-stored", "deps 1/3", &["deps 2/3", "deps 3/3", "test 1/2", "test 2/2"]),
            ("files-changed", "build 1/2", &["build 2/2", "stage-4 1/3", "stage-4 2/3", "stage-4 3/3"]),
        ],
    },
    Expected { fixture: "step-added", causes: &[("step-added", "build 2/3", &["build 3/3"])] },
    Expected { fixture: "step-removed", causes: &[("step-removed", "build 2/2", &[])] },
    Expected {
        fixture: "step-moved",
        causes: &[("step-moved", "build 1/4", &["build 2/4", "build 3/4", "build 4/4"])],
    },
    Expected {
        fixture: "stage-added",
        causes: &[("step-added", "lint 1/1", &["stage-5 1/4", "stage-5 2/4", "stage-5 3/4", "stage-5 4/4"])],
    },
    // The cache was written for the stage `build`.
    Expected {
        fixture: "other-target",
        causes: &[
            ("step-added", "test 1/2", &["test 2/2"]),
            ("step-added", "stage-4 1/3", &["stage-4 2/3", "stage-4 3/3"]),
        ],
    },
    Expected {
        fixture: "oci-base",
        causes: &[(
            "base-changed",
            "deps 1/3",
            &[
                "build 1/2",
                "build 2/2",
                "deps 2/3",
                "deps 3/3",
                "stage-4 1/3",
                "stage-4 2/3",
                "stage-4 3/3",
                "test 1/2",
                "test 2/2",
            ],
        )],
    },
    Expected {
        fixture: "no-cache",
        causes: &[(
            "asked-for",
            "base 1/2",
            &[
                "base 2/2",
                "build 1/2",
                "build 2/2",
                "deps 1/3",
                "deps 2/3",
                "deps 3/3",
                "stage-4 1/3",
                "stage-4 2/3",
                "stage-4 3/3",
                "test 1/2",
                "test 2/2",
            ],
        )],
    },
    Expected { fixture: "no-cache-filter", causes: &[("asked-for", "build 1/2", &["build 2/2"])] },
    // For the stages `deps` and `test`; `build` is based on `deps`. The directory of a `WORKDIR` still hits.
    Expected {
        fixture: "no-cache-filter2",
        causes: &[("asked-for", "deps 2/3", &["build 1/2", "build 2/2", "deps 3/3", "test 1/2", "test 2/2"])],
    },
    Expected {
        fixture: "absent",
        causes: &[(
            "cannot-be-imported",
            "base 1/2",
            &[
                "base 2/2",
                "build 1/2",
                "build 2/2",
                "deps 1/3",
                "deps 2/3",
                "deps 3/3",
                "stage-4 1/3",
                "stage-4 2/3",
                "stage-4 3/3",
                "test 1/2",
                "test 2/2",
            ],
        )],
    },
    Expected { fixture: "nothing-changed", causes: &[] },
    // After `WORKDIR` a relative destination changes: the copied files show where the step was added or removed.
    Expected { fixture: "workdir-added", causes: &[("step-added", "build 1/3", &["build 2/3", "build 3/3"])] },
    Expected { fixture: "workdir-removed", causes: &[("step-removed", "build 1/2", &["build 2/2"])] },
    // A step of `build` was moved to `test`, where it hits.
    Expected {
        fixture: "step-in-another-stage",
        causes: &[("step-removed", "build 1/2", &["build 2/2"]), ("step-moved", "test 2/3", &["test 3/3"])],
    },
    Expected { fixture: "address-changed", causes: &[("files-changed", "test 1/3", &["test 2/3", "test 3/3"])] },
    Expected { fixture: "base-digest", causes: &[("base-changed", "deps 1/3", ALL_ON_BASE)] },
    Expected { fixture: "context-image", causes: &[("base-changed", "deps 1/3", ALL_ON_BASE)] },
    // The stages based on it run as well. Results that are found and then not needed are dropped while they are loaded.
    Expected {
        fixture: "no-cache-filter-base",
        causes: &[("asked-for", "base 1/2", &["base 2/2", "deps 1/3", "stage-4 1/3"])],
    },
    // The file that is now copied first is also copied later, as before.
    Expected {
        fixture: "first-step-added",
        causes: &[(
            "step-added",
            "base 1/3",
            &[
                "base 2/3",
                "base 3/3",
                "build 1/2",
                "build 2/2",
                "deps 1/3",
                "deps 2/3",
                "deps 3/3",
                "stage-4 1/3",
                "stage-4 2/3",
                "stage-4 3/3",
                "test 1/2",
                "test 2/2",
            ],
        )],
    },
    Expected { fixture: "command-split", causes: &[("step-changed", "stage-4 3/4", &["stage-4 4/4"])] },
    Expected {
        fixture: "link-in-the-middle",
        causes: &[("step-changed", "stage-4 2/3", &["stage-4 2/3", "stage-4 3/3"])],
    },
    // Two stages begin with a copy onto an empty root; a later copy takes the content of the changed one.
    Expected {
        fixture: "first-copy-changed",
        causes: &[("step-changed", "a 1/1", &[]), ("step-changed", "stage-1 2/2", &[])],
    },
    Expected {
        fixture: "result-dropped",
        causes: &[("known-not-stored", "build 2/2", &["stage-4 1/3", "stage-4 2/3", "stage-4 3/3"])],
    },
    // The same copy on another stage.
    Expected { fixture: "stage-on-another", causes: &[("step-moved", "stage-4 1/3", &["stage-4 2/3", "stage-4 3/3"])] },
];

#[tokio::test]
async fn every_rebuild_has_the_expected_causes_and_followers() {
    let mut wrong = String::new();
    for Expected { fixture, causes } in TABLE {
        let found = told(&Rebuild(fixture).explain().await);
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let expected: Vec<(&str, String, Vec<String>)> =
            causes.iter().map(|(cause, first, followers)| (*cause, (*first).to_owned(), owned(followers))).collect();
        if found != expected {
            wrong.push_str(&format!("{fixture}\n  expected {expected:?}\n  found    {found:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn without_a_change_every_step_hits() {
    let found = Rebuild("nothing-changed").explain().await;
    assert!(found.steps.iter().all(|step| step.outcome == cache_ops::StepOutcome::Hit && step.miss.is_none()));
    assert_eq!((found.steps.len(), found.times.missed), (12, std::time::Duration::ZERO));
}

/// Two platforms read one changed file: there is one cause, with the steps of both platforms.
#[tokio::test]
async fn a_file_of_two_platforms_is_one_cause() {
    let found = told(&Rebuild("multi-platform").explain().await);
    let [(cause, first, followers)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((*cause, followers.len()), ("files-changed", 9));
    assert!(first.ends_with("build 1/2"), "{first}");
}

/// If buildx builds several targets at once, names begin with the target: `[app build 2/4] RUN make`, and
/// `[app] importing cache manifest from …`.
#[tokio::test]
async fn targets_of_buildx_have_the_same_causes_as_in_buildctl() {
    for fixture in ["source-file-changed", "absent", "oci-base", "no-cache-filter"] {
        let rebuild = Rebuild(fixture);
        let (old, new) = (rebuild.cache("old").await, rebuild.cache("new").await);
        let log = std::fs::read_to_string(rebuild.path().join("new.rawjson")).unwrap();
        let log = log.lines().map(of_a_target).collect::<Vec<_>>().join("\n");
        let log = cache_ops::BuildLog::read(log.as_bytes(), &cache_ops::LogLimits::default()).unwrap();
        let found = cache_ops::explain(&[super::imported(&old)], Some(&new), Some(&log)).unwrap();
        let expected = told(&rebuild.explain().await);
        let prefixed = |names: &[String]| names.iter().map(|name| format!("app {name}")).collect::<Vec<_>>();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(cause, first, followers)| (cause, format!("app {first}"), prefixed(&followers)))
            .collect();
        assert_eq!(told(&found), expected, "{fixture}");
    }
}

fn of_a_target(line: &str) -> String {
    let Ok(mut line) = serde_json::from_str::<serde_json::Value>(line) else { return line.to_owned() };
    for vertex in line["vertexes"].as_array_mut().into_iter().flatten() {
        let name = vertex["name"].as_str().unwrap_or_default();
        let name = name.strip_prefix('[').map_or_else(|| format!("[app] {name}"), |rest| format!("[app {rest}"));
        vertex["name"] = name.into();
    }
    line.to_string()
}

/// An instruction for two platforms is one cause.
#[tokio::test]
async fn a_command_of_two_platforms_is_one_cause() {
    let found = told(&Rebuild("platforms-command").explain().await);
    let [(cause, first, followers)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((*cause, followers.len()), ("step-changed", 5));
    assert!(first.ends_with("test 2/2"), "{first}");
}

#[tokio::test]
async fn an_added_platform_is_the_cause() {
    use cache_ops::{Cause, Part};
    for fixture in ["platform-added", "platform-argument"] {
        let found = Rebuild(fixture).explain().await;
        let [cause] = found.causes.as_slice() else { panic!("{found:?}") };
        let is_platform = matches!(&cause.cause, Cause::StepChanged { parts, .. } if *parts == [Part::Platform]);
        assert!(is_platform, "{fixture}: {cause:?}");
    }
}

/// A result that was unpacked for a later step long after it was made is found in the export too.
#[tokio::test]
async fn every_step_that_ran_is_found_in_the_export() {
    for fixture in ["link-in-the-middle", "no-cache-filter-base", "source-file-changed", "step-in-another-stage"] {
        let found = Rebuild(fixture).explain().await;
        assert!(found.notes.is_empty(), "{fixture}: {:?}", found.notes);
    }
}

/// The later steps have no results either, so the cause is not that the cache keeps only results of the last stage.
#[tokio::test]
async fn a_dropped_result_is_not_put_down_to_the_mode() {
    use cache_ops::{Cause, NotStored};
    let found = Rebuild("result-dropped").explain().await;
    assert_eq!(found.causes[0].cause, Cause::NotStored(NotStored::Dropped));
}

/// One `RUN` became two, which is not a change of the environment of all later ones.
#[tokio::test]
async fn a_command_that_was_split_was_changed() {
    use cache_ops::{Cause, Part};
    match &Rebuild("command-split").explain().await.causes[0].cause {
        Cause::StepChanged { parts, .. } => assert!(parts.contains(&Part::Command), "{parts:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_address_is_named_as_the_step_has_it() {
    let found = Rebuild("address-changed").explain().await;
    match &found.causes[0].cause {
        cache_ops::Cause::FilesChanged { paths, .. } => assert_eq!(*paths, ["http://127.0.0.1:5618/f.txt"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_proves_a_cause_is_named() {
    use cache_ops::{Cause, Part};
    let of = async |fixture: &'static str| Rebuild(fixture).explain().await.causes.remove(0);
    match of("source-file-changed").await.cause {
        Cause::FilesChanged { paths, content, instead } => {
            assert_eq!((paths, content.len(), instead.len()), (vec!["src".to_owned()], 1, 1));
            assert_ne!(content, instead);
        }
        other => panic!("{other:?}"),
    }
    match of("command-changed").await.cause {
        Cause::StepChanged { parts, instead } => assert_eq!((parts.contains(&Part::Command), instead.len()), (true, 1)),
        other => panic!("{other:?}"),
    }
    match of("env-changed").await.cause {
        Cause::StepChanged { parts, .. } => {
            assert_eq!(parts, [Part::Environment, Part::BuildArgument, Part::User], "no later RUN is known");
        }
        other => panic!("{other:?}"),
    }
    match of("step-removed").await.cause {
        Cause::StepRemoved { removed } => assert_eq!(removed.len(), 1),
        other => panic!("{other:?}"),
    }
    match of("oci-base").await.cause {
        Cause::BaseChanged { keys, instead, .. } => assert_eq!((keys.len(), instead.len()), (2, 2)),
        other => panic!("{other:?}"),
    }
}

/// A log does not show `--no-cache`: it is reported as the likely cause only.
#[tokio::test]
async fn what_is_not_proven_is_said_to_be_likely() {
    for (fixture, is_certain) in [("no-cache", false), ("no-cache-filter", false), ("source-file-changed", true)] {
        let found = Rebuild(fixture).explain().await;
        assert!(found.causes.iter().all(|group| group.is_certain == is_certain), "{fixture}: {:?}", found.causes);
    }
}
