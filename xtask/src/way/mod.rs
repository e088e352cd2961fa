//! `cargo xtask bench way`: measures the whole way of a cache, from the export of a real BuildKit to the import by
//! another one.
//!
//! BuildKit exports a build to a store. Compared with that, it exports to a directory without compression, and
//! `buildcache copy` copies that to the store, for which the build need not wait. An empty daemon then imports the
//! cache from the store, and every step has to hit. Each export has its own daemon and store, since BuildKit keeps what
//! it has compressed.

mod contest;
mod data;
mod figures;
mod store;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use self::contest::Contest;
use self::data::{LOADS, Load};
use self::figures::Figures;
use self::store::Kind;
use crate::args::Args;
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::servers::buildkit;
use crate::servers::registry::Registry;
use crate::workspace::Workspace;

/// The default number of rounds, of which the medians are printed.
const ROUNDS: usize = 3;
/// The flags of cargo for the S3 store of the tests.
const S3_STORE: [&str; 3] = ["--no-default-features", "--features", "s3"];

/// The programs that are measured.
struct Programs {
    buildkit: buildkit::Tools,
    buildcache: PathBuf,
    /// An older `buildcache`, for comparison.
    old: Option<PathBuf>,
}

pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let kinds = chosen("--store", args.option("--store")?, &Kind::ALL, |kind| kind.name())?;
    let loads = chosen("--data", args.option("--data")?, &LOADS, |load| load.name)?;
    let rounds = match args.option("--rounds")? {
        Some(text) => text.parse().map_err(|_| Failure::usage("`--rounds` wants a number"))?,
        None => ROUNDS,
    };
    let old = args.operands()?.into_iter().next().map(PathBuf::from);
    let (buildkit, registry) = match (buildkit::Tools::find(), Registry::find()) {
        (Ok(buildkit), Ok(registry)) => (buildkit, registry),
        (Err(reason), _) | (_, Err(reason)) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let workspace = Workspace::load()?;
    let buildcache = match env::var_os("BUILDCACHE") {
        Some(program) => program.into(),
        None => workspace.build_release("cache-cli", "buildcache", &[])?,
    };
    let programs = Programs { buildkit, buildcache, old };
    let stores: Vec<(Kind, PathBuf)> = kinds
        .into_iter()
        .map(|kind| match kind {
            Kind::Registry => Ok((kind, registry.clone())),
            Kind::S3 => Ok((kind, workspace.build_release("cache-tests", "s3_store", &S3_STORE)?)),
        })
        .collect::<Result<_, Failure>>()?;
    println!("{} cores", thread::available_parallelism().map_or(1, usize::from));
    println!("{}; {}", programs.buildkit.version()?, version(&registry)?);
    for program in [Some(&programs.buildcache), programs.old.as_ref()].into_iter().flatten() {
        println!("{}: {}", version(program)?, program.display());
    }
    loads.into_iter().try_for_each(|load| programs.measure(load, &stores, rounds.max(1)))
}

impl Programs {
    /// Measures one set of data with each of the stores.
    fn measure(&self, load: Load, stores: &[(Kind, PathBuf)], rounds: usize) -> Result<(), Failure> {
        let scratch = Scratch::new("way")?;
        let context = load.write(scratch.path())?;
        for (kind, store) in stores {
            println!("\n{}, to {} (medians of {rounds})", load.about, kind.name());
            let contest = Contest { programs: self, directory: scratch.path(), context: &context, kind: *kind, store };
            let mut figures = Figures::default();
            for round in 0..rounds {
                contest.round(round, &mut figures)?;
            }
            figures.print();
        }
        Ok(())
    }
}

/// The one of this name, or all without a name.
fn chosen<T: Copy>(
    flag: &str,
    name: Option<String>,
    all: &[T],
    name_of: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, Failure> {
    let Some(name) = name else { return Ok(all.to_vec()) };
    let found = all.iter().find(|one| name_of(one) == name);
    let known = || all.iter().map(&name_of).collect::<Vec<_>>().join(" or ");
    found.map(|one| vec![*one]).ok_or_else(|| Failure::usage(format!("`{flag}` takes {}", known())))
}

fn version(program: &Path) -> Result<String, Failure> {
    Ok(process::output(Command::new(program).arg("--version"))?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn all_are_chosen_without_a_name() {
        let choose = |name: Option<&str>| chosen("--x", name.map(str::to_owned), &["a", "b"], |name| name);
        assert_eq!(choose(None).unwrap(), ["a", "b"]);
        assert_eq!(choose(Some("b")).unwrap(), ["b"]);
        assert!(choose(Some("c")).unwrap_err().to_string().contains("a or b"));
    }
}
