//! Our graph beside BuildKit's own code, where somebody has a program that runs it.

use std::env;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::process;

/// How many random configs are compared.
const CONFIGS: &str = "10000";

/// The program that answers with BuildKit's code; the error says that none is named.
pub(super) fn peer() -> Result<PathBuf, String> {
    let peer = env::var_os("GRAPH_PEER").map(PathBuf::from);
    peer.ok_or_else(|| "the graph beside BuildKit's: $GRAPH_PEER names no program (see xtask/README.md)".to_owned())
}

/// Compares random configs; one that is read or found otherwise fails, and is told with its seed.
pub(super) fn compare(peer: &PathBuf) -> Result<(), Failure> {
    let mut command =
        process::cargo(["run", "--quiet", "--locked", "--package", "cache-tests", "--no-default-features"]);
    process::run(command.args(["--bin", "differential", "--"]).arg(peer).arg(CONFIGS))
}
