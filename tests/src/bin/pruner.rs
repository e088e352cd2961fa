//! Prunes a directory down to its newest cache, for the tests that kill it: `pruner DIR`.

use std::process::ExitCode;

use cache_core::{CacheBackend as _, Result, Timestamp};
use cache_local::{LocalConfig, LocalStore};
use cache_ops::{PrunePolicy, PruneSettings, plan_prune, prune};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("usage: pruner DIR");
        return ExitCode::from(2);
    };
    match run(&directory).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(directory: &str) -> Result<()> {
    let store = LocalStore::new(LocalConfig::new(directory));
    let policy = PrunePolicy::new(cache_local::Local.facts().grace).with_keep_latest(1);
    let plan = plan_prune(&store, &policy, Timestamp::now(), &PruneSettings::default()).await?;
    prune(&store, &plan, &PruneSettings::default()).await?;
    Ok(())
}
