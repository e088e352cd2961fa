//! The packages that `cargo xtask setup` installs for the tests, in a folder of the user's cache.

use std::env;
use std::path::PathBuf;

/// The path of a file of a package; `None` if it is not installed.
#[must_use]
pub fn installed(file: &str) -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| Some(env::home_dir()?.join(".cache")))?;
    Some(cache.join("buildcache-tests").join(file)).filter(|path| path.is_file())
}
