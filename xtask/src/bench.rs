//! `cargo xtask bench`: benchmarks by name.

use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::way;
use crate::workspace::Workspace;

/// A benchmark: its name here, its package and its `[[bench]]` target.
struct Bench {
    name: &'static str,
    package: &'static str,
    target: &'static str,
}

const BENCHES: [Bench; 3] = [
    Bench { name: "graph", package: "cache-core", target: "graph" },
    Bench { name: "explain", package: "cache-ops", target: "explain" },
    Bench { name: "ops", package: "cache-ops", target: "ops" },
];

/// A benchmark that is a program of `cache-tests`, for whole commands.
struct Program {
    name: &'static str,
    binary: &'static str,
    /// The flags to build it with. One that serves or compresses itself is built for speed.
    flags: &'static [&'static str],
    /// Whether it runs `buildcache`, whose path it is given.
    runs_buildcache: bool,
}

const PROGRAMS: [Program; 6] = [
    Program { name: "azblob", binary: "azblob_bench", flags: &[], runs_buildcache: true },
    Program {
        name: "compression",
        binary: "compression_bench",
        flags: &["--release", "--no-default-features", "--features", "local"],
        runs_buildcache: false,
    },
    Program { name: "copies", binary: "copies_bench", flags: &["--release"], runs_buildcache: true },
    Program { name: "million", binary: "million_bench", flags: &["--release"], runs_buildcache: true },
    Program { name: "registry", binary: "registry_bench", flags: &[], runs_buildcache: true },
    Program { name: "s3", binary: "s3_bench", flags: &["--release"], runs_buildcache: true },
];

/// The benchmark that needs a BuildKit, and no library of the workspace.
const WAY: &str = "way";

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let name = args.next().unwrap_or_else(|| BENCHES[0].name.to_owned());
    if name == WAY {
        return way::run(args);
    }
    if let Some(program) = PROGRAMS.iter().find(|program| program.name == name) {
        return program.run(args);
    }
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        let programs = PROGRAMS.iter().map(|program| program.name);
        let known: Vec<_> = BENCHES.iter().map(|bench| bench.name).chain(programs).chain([WAY]).collect();
        return Err(Failure::usage(format!("there is no benchmark `{name}`, only {}", known.join(", "))));
    };
    let mut command = process::cargo(["bench", "--locked", "--package", bench.package, "--bench", bench.target]);
    process::run(command.arg("--").args(args.rest()))
}

impl Program {
    fn run(&self, args: Args) -> Result<(), Failure> {
        let mut command = process::cargo(["run", "--quiet", "--locked", "--package", "cache-tests"]);
        command.args(self.flags).args(["--bin", self.binary, "--"]);
        if self.runs_buildcache {
            command.arg(Workspace::load()?.build_release("cache-cli", "buildcache", &[])?);
        }
        process::run(command.args(args.rest()))
    }
}
