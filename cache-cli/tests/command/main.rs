//! Runs the program in a temporary directory, on directories and on servers of the tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot run its program has to stop")]

mod cli;
#[cfg(all(unix, feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
mod downgrades;
#[cfg(all(unix, feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
mod endless;
mod explain;
#[cfg(all(feature = "azblob", feature = "gha", feature = "inline", feature = "registry", feature = "s3"))]
mod help;
mod images;
mod inspect;
#[cfg(all(unix, feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
mod kills;
#[cfg(unix)]
mod limits;
#[cfg(feature = "registry")]
mod login;
#[cfg(all(feature = "azblob", feature = "registry"))]
mod logins;
mod ops;
#[cfg(unix)]
mod plugin;
#[cfg(all(feature = "azblob", feature = "s3"))]
mod races;
#[cfg(all(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
mod refusals;
mod report;
mod sandbox;
#[cfg(all(unix, feature = "gha", feature = "registry"))]
mod signals;
#[cfg(feature = "registry")]
mod tags;
#[cfg(feature = "registry")]
mod told;
mod torn;
#[cfg(feature = "registry")]
mod tries;
#[cfg(all(feature = "azblob", feature = "gha", feature = "registry", feature = "s3"))]
mod trust;
#[cfg(all(unix, feature = "gha", feature = "registry", feature = "s3"))]
mod workflows;
