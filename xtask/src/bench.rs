//! `cargo xtask bench`: benchmarks by name.

use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// A benchmark: its name here, its package and its `[[bench]]` target.
struct Bench {
    name: &'static str,
    package: &'static str,
    target: &'static str,
}

const BENCHES: [Bench; 2] = [
    Bench { name: "graph", package: "cache-core", target: "graph" },
    Bench { name: "ops", package: "cache-ops", target: "ops" },
];

/// The benchmark that is a program: it compares whole commands.
const REGISTRY: &str = "registry";

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let name = args.next().unwrap_or_else(|| BENCHES[0].name.to_owned());
    if name == REGISTRY {
        return registry(args);
    }
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        let known: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(Failure::usage(format!("there is no benchmark `{name}`, only {}, {REGISTRY}", known.join(", "))));
    };
    let mut command = process::cargo(["bench", "--locked", "--package", bench.package, "--bench", bench.target]);
    process::run(command.arg("--").args(args.rest()))
}

/// `buildcache copy` to a registry, beside `skopeo copy`.
fn registry(args: Args) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    process::run(&mut process::cargo(["build", "--locked", "--release", "--bin", "buildcache"]))?;
    let directory = workspace.target.join("release");
    let buildcache = process::find("buildcache", [directory.clone()])
        .ok_or_else(|| Failure::new(format!("cargo built no `buildcache` in {}", directory.display())))?;
    let mut command = process::cargo(["run", "--quiet", "--locked", "--package", "cache-tests"]);
    process::run(command.args(["--bin", "registry_bench", "--"]).arg(buildcache).args(args.rest()))
}
