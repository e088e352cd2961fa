//! `cargo xtask deps`: checks the direction of dependencies, banned crates, the number of crates, and the build scripts
//! and macros among them.

mod budget;
mod direction;
mod scripts;
mod tree;
mod versions;

use crate::args::Args;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Selections that open no connection, and so pull in no crate of [`NETWORK`].
const OFFLINE: [(&str, &[&str]); 9] = [
    ("cache-core", &["--all-features"]),
    ("cache-inline", &["--all-features"]),
    ("cache-kit", &["--all-features"]),
    ("cache-layers", &["--all-features"]),
    ("cache-local", &["--all-features"]),
    ("cache-memory", &["--all-features"]),
    ("cache-ops", &["--all-features"]),
    ("cache-report", &["--all-features"]),
    ("cache-cli", &["--no-default-features", "--features", "inline,local"]),
];

/// Crates that an offline selection does not pull in.
const NETWORK: [&str; 8] = ["aws-lc-rs", "hyper", "native-tls", "openssl", "openssl-sys", "reqwest", "ring", "rustls"];

/// Crates that nothing may pull in: there is one TLS stack, rustls with aws-lc-rs.
const BANNED: [&str; 2] = ["openssl-sys", "ring"];

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let pins = args.flag("--pin");
    args.finish()?;
    let workspace = Workspace::load()?;
    if pins {
        scripts::pin(&workspace.root)?;
    }
    check(&workspace)
}

/// Prints the budgets and every broken rule, and fails if there is one.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings = direction::check(workspace);
    findings.extend(offline(workspace)?);
    findings.extend(banned()?);
    findings.extend(budget::check(workspace)?);
    findings.extend(versions::check()?);
    findings.extend(scripts::check(workspace)?);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("dependency rules broken: {count}"))),
    }
}

fn offline(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut findings = Vec::new();
    for (name, features) in OFFLINE {
        if workspace.member(name).is_err() {
            continue;
        }
        let packages = tree::packages(&[&["--package", name, "--edges", "normal"], features].concat())?;
        let pulled = NETWORK.iter().filter(|network| tree::holds(&packages, network));
        findings.extend(pulled.map(|network| format!("{name} ({}) pulls {network}", features.join(" "))));
    }
    Ok(findings)
}

fn banned() -> Result<Vec<String>, Failure> {
    let packages = tree::packages(&["--workspace", "--all-features"])?;
    let pulled = BANNED.iter().filter(|name| tree::holds(&packages, name));
    Ok(pulled.map(|name| format!("something pulls {name}: see `cargo tree --all-features -i {name}`")).collect())
}
