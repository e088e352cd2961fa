//! Explanations without the export: from the log and the imported cache alone.

use cache_ops::{Note, StepOutcome};

use super::{Rebuild, told};

#[tokio::test]
async fn causes_are_guessed_and_reported_as_guesses() {
    let cases = [
        ("source-file-changed", ("files-changed", "build 1/2"), 4),
        ("command-changed", ("step-changed", "test 2/2"), 2),
        ("package-file-changed", ("files-changed", "deps 2/3"), 5),
        ("min-lost-stages", ("known-not-stored", "deps 1/3"), 6),
    ];
    for (fixture, expected, followers) in cases {
        let found = Rebuild(fixture).explain_without_export(&[]).await;
        assert!(found.notes.contains(&Note::NoExport));
        let told = told(&found);
        let (cause, first, after) = &told[0];
        assert_eq!(((*cause, first.as_str()), after.len()), (expected, followers), "{fixture}: {told:?}");
        assert!(!found.causes[0].is_certain, "{fixture}");
    }
}

#[tokio::test]
async fn a_build_in_which_everything_hit_needs_no_export() {
    assert!(told(&Rebuild("nothing-changed").explain_without_export(&[]).await).is_empty());
}

/// The build failed: BuildKit loads layers late, and then does not run the step instead.
#[tokio::test]
async fn a_lost_blob_is_the_cause_where_buildkit_could_not_load_it() {
    let rebuild = Rebuild("lost-blob");
    let lost = "sha256:836c0cab7df2e52fc167e46775abf6a4741f5a19b82623cc9e4cb9a8631d003b".parse().unwrap();
    let found = rebuild.explain_without_export(&[lost]).await;
    assert_eq!(told(&found), [("stored-but-lost", "deps 2/3".to_owned(), vec!["deps 3/3".to_owned()])]);
    assert!(found.causes[0].is_certain);
    assert!(found.notes.iter().any(|note| matches!(note, Note::BuildFailed(error) if error.contains("not found"))));
    let unreached = found.steps.iter().filter(|step| step.outcome == StepOutcome::NotReached).count();
    assert_eq!(unreached, 7, "what a failed build did not reach did not miss");
}

/// Before blobs are looked up, the results that were not used are doubted.
#[tokio::test]
async fn results_that_were_not_used_are_doubted() {
    let found = Rebuild("no-cache").explain().await;
    assert!(found.doubted.len() >= 10, "{}", found.doubted.len());
    assert!(Rebuild("nothing-changed").explain().await.doubted.is_empty());
}

/// A step with a lost result ran again, and so did a later one on top of it, although its own result is stored.
#[tokio::test]
async fn steps_on_top_of_a_lost_result_follow_it() {
    let lost = "sha256:1ef6cd017df8a02b526cf579ce462efee53aea89cb93cd2fdbfea5c6f022fede".parse().unwrap();
    let found = Rebuild("lost-in-the-middle").explain_without_export(&[lost]).await;
    let followers = ["build 1/2", "build 2/2", "stage-4 1/3", "test 2/2"].map(str::to_owned).to_vec();
    assert_eq!(told(&found), [("stored-but-lost", "deps 3/3".to_owned(), followers)]);
}
