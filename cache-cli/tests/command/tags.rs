//! A registry that deletes a manifest only with all of its tags.

use cache_tests::servers::registry::{Access, Options, Server};

use crate::sandbox::Sandbox;

/// A registry with one cache under two tags, and its repository.
fn tagged_twice(sandbox: &Sandbox) -> (Server, String) {
    let server = Server::start(Access::Open, Options { deletes_tags: false, ..Options::default() });
    let repository = format!("{}/team/cache", server.host());
    for tag in ["main", "release"] {
        let run = sandbox.run(&["copy", "type=local,src=a", &format!("{repository}:{tag}")]);
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    (server, repository)
}

#[test]
fn rm_says_what_to_do_about_a_tag_that_cannot_be_deleted_alone() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let (_server, repository) = tagged_twice(&sandbox);
    let run = sandbox.run(&["rm", "-f", &format!("{repository}:release")]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("other=main") && run.stderr.contains("hint: leave the tag"), "{}", run.stderr);
}

#[test]
fn prune_says_what_may_stay_and_once_what_has_stayed() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let (_server, repository) = tagged_twice(&sandbox);
    let prune = |flag: &str| sandbox.run(&["prune", flag, "--keep-latest", "0", "--keep", "main", &repository]);
    let planned = prune("--dry-run");
    assert!(planned.stdout.contains("--keep-latest, may stay with main\n"), "{}", planned.stdout);
    let run = prune("-f");
    assert_eq!((run.code, run.stderr.matches("cache release stays").count()), (0, 1), "{}", run.stderr);
    assert!(run.stdout.contains("nothing is deleted"), "{}", run.stdout);
}
