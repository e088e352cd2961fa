//! Compares our graph with BuildKit's own code, if there is a program that runs it (`GRAPH_PEER`).

use std::env;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::process;

/// Random configs that are compared.
const CONFIGS: &str = "10000";

/// The program with BuildKit's code; the error says that none is set.
pub(super) fn peer() -> Result<PathBuf, String> {
    let peer = env::var_os("GRAPH_PEER").map(PathBuf::from);
    peer.ok_or_else(|| "the graph beside BuildKit's: $GRAPH_PEER names no program (see xtask/README.md)".to_owned())
}

/// Compares random configs. A difference in reading or lookup is a failure, which names the seed.
pub(super) fn compare(peer: &PathBuf) -> Result<(), Failure> {
    let mut command =
        process::cargo(["run", "--quiet", "--locked", "--package", "cache-tests", "--no-default-features"]);
    process::run(command.args(["--bin", "differential", "--"]).arg(peer).arg(CONFIGS))
}
