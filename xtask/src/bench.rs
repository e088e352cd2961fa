//! `cargo xtask bench`: benchmarks by name.

use crate::args::Args;
use crate::failure::Failure;
use crate::process;

/// A benchmark: its name here, its package and its `[[bench]]` target.
struct Bench {
    name: &'static str,
    package: &'static str,
    target: &'static str,
}

const BENCHES: [Bench; 1] = [Bench { name: "graph", package: "cache-core", target: "graph" }];

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let name = args.next().unwrap_or_else(|| BENCHES[0].name.to_owned());
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        let known: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(Failure::usage(format!("there is no benchmark `{name}`, only {}", known.join(", "))));
    };
    let mut command = process::cargo(["bench", "--locked", "--package", bench.package, "--bench", bench.target]);
    process::run(command.arg("--").args(args.rest()))
}
