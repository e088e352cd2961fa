//! Common mistakes: names of other tools, paths, typing errors, and specs that were pasted from a build.

use cache_tests::servers::registry::{Access, Options, Server};

use crate::sandbox::Sandbox;

const USAGE: i32 = 2;

/// The hint about an argument, which is the same for a source and a destination.
fn hint(sandbox: &Sandbox, argument: &str) -> String {
    let [read, written] = [vec!["inspect", argument], vec!["copy", "type=local,src=a", argument]].map(|args| {
        let run = sandbox.run(&args);
        assert_eq!(run.code, USAGE, "{args:?}: {}", run.stderr);
        let hint = run.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
        hint.unwrap_or_else(|| panic!("{args:?} gives no hint: {}", run.stderr)).to_owned()
    });
    assert_eq!(read, written);
    read
}

#[test]
fn common_mistakes_are_answered_with_the_spec_that_was_meant() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let here = sandbox.path("a").display().to_string();
    for (argument, spec) in [
        ("docker://host/x:tag", "type=registry,ref=host/x:tag"),
        ("oci:dir", "type=local,src=dir"),
        ("oci:dir:v1", "type=local,src=dir,tag=v1"),
        ("s3://bucket/prefix", "type=s3,bucket=bucket,prefix=prefix/,region=REGION"),
        ("http://localhost:5000/x:tag", "type=registry,ref=localhost:5000/x:tag,registry.insecure=true"),
        ("https://host/x:tag", "type=registry,ref=host/x:tag"),
        ("./cache", "type=local,src=./cache"),
        ("a", "type=local,src=a"),
        ("a/", "type=local,src=a/"),
        ("host/x/y:z,mode=min", "type=registry,mode=min,ref=host/x/y:z"),
    ] {
        assert_eq!(hint(&sandbox, argument), format!("did you mean {spec}?"), "{argument}");
    }
    assert_eq!(hint(&sandbox, &here), format!("did you mean type=local,src={here}?"));
    for (argument, spec) in [
        ("gha", "type=gha"),
        ("src=a", "type=local,src=a"),
        ("dest=b,mode=max", "type=local,dest=b,mode=max"),
        ("bucket=b,region=r", "type=s3,bucket=b,region=r"),
        ("account_url=hush,container=c", "type=azblob,account_url=REDACTED,container=c"),
    ] {
        assert_eq!(hint(&sandbox, argument), format!("did you mean {spec}?"), "{argument}");
    }
    assert!(hint(&sandbox, "oci-archive:a.tar").contains("type=local,src=DIR"));
    assert_eq!(hint(&sandbox, "type=locl,src=a"), "did you mean type=local?");
}

#[test]
fn the_spec_that_is_meant_works_on_both_sides() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let meant = |argument: &str| hint(&sandbox, argument).replace("did you mean ", "").replace('?', "");
    assert_eq!(sandbox.run(&["copy", &meant("a"), &meant("./b")]).code, 0);
    assert_eq!(sandbox.run(&["verify", &meant("b")]).code, 0);
}

/// All attributes that only a destination has.
const PASTED: &str = "mode=max,compression=zstd,compression-level=3,force-compression=true,ignore-error=true,\
                      image-manifest=true,oci-mediatypes=true";

#[test]
fn a_spec_pasted_from_cache_to_can_be_read_by_every_verb() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = Server::start(Access::Open, Options::default());
    let reference = format!("type=registry,ref={}/team/cache:main", server.host());
    let copied = sandbox.run(&["copy", "type=local,src=a", &reference]);
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    let local = format!("type=local,dest=a,{PASTED},reset=false,check-present=true");
    for pasted in [local, format!("{reference},{PASTED}")] {
        for args in [
            vec!["inspect", &pasted],
            vec!["ls", &pasted],
            vec!["du", &pasted],
            vec!["verify", &pasted],
            vec!["graph", &pasted],
            vec!["diff", &pasted, &pasted],
            vec!["repair", "--dry-run", &pasted],
            vec!["optimize", "--dry-run", &pasted],
            vec!["prune", "--dry-run", &pasted],
            vec!["rm", "--dry-run", &pasted],
            vec!["report", &pasted, "-o", "page.html"],
            vec!["copy", &pasted, "type=local,dest=b"],
            vec!["merge", &pasted, "--to", "type=local,dest=c"],
            vec!["repair", &pasted],
            vec!["optimize", &pasted],
        ] {
            let run = sandbox.run(&args);
            assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        }
        // Ignored attributes have to be valid too.
        for (right, wrong) in [("mode=max", "mode=most"), ("image-manifest=true", "image-manifest=ture")] {
            let run = sandbox.run(&["inspect", &pasted.replace(right, wrong)]);
            assert_eq!(run.code, USAGE, "{wrong}: {}", run.stderr);
        }
    }
}

#[test]
fn attributes_of_destinations_apply_if_a_place_is_read_and_written() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let server = Server::start(Access::Open, Options::default());
    let form = "image-manifest=false,oci-mediatypes=true";
    for place in [format!("type=registry,ref={}/team/cache:main", server.host()), "type=local,dest=b".to_owned()] {
        let written = format!("{place},{form}");
        for args in [
            vec!["merge", "type=local,src=a", "--to", &written],
            vec!["merge", "type=local,src=a", "--to", &written, "--publish"],
            vec!["copy", "type=local,src=a", &written, "--if-unchanged"],
            vec!["copy", "type=local,src=a", &written, "--dry-run"],
        ] {
            let run = sandbox.run(&args);
            assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        }
        assert_eq!(sandbox.json(&["inspect", &place])["form"], "index");
    }
}
