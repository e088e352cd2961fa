//! The stores, and the verbs that are measured on them.

use std::process::Command;
use std::time::Duration;

use cache_tests::base64::base64;
use cache_tests::bench::{Figure, Outcome, measure};
use cache_tests::servers::made_up::{ACCOUNT, Asked, Content, Kind, PLACE, Server, Size};

use crate::bare;
use crate::directory::Directory;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Served(Kind),
    Local,
}

type Verb = (&'static str, &'static [&'static str]);

const LS: Verb = ("ls", &["ls"]);
const DU: Verb = ("du", &["du"]);
const DRY_RUN: Verb = ("prune --dry-run", &["prune", "--dry-run"]);
const PRUNE: Verb = ("prune", &["prune", "--force"]);

impl Store {
    pub(crate) const ALL: [Self; 4] =
        [Self::Served(Kind::S3), Self::Served(Kind::Azblob), Self::Served(Kind::Registry), Self::Local];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Served(Kind::S3) => "s3",
            Self::Served(Kind::Azblob) => "azblob",
            Self::Served(Kind::Registry) => "registry",
            Self::Local => "local",
        }
    }

    /// Whether requests can have this delay: a directory has no requests.
    pub(crate) fn has(self, delay: Duration) -> bool {
        self != Self::Local || delay.is_zero()
    }

    pub(crate) fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Served(Kind::Registry) => &[LS, DRY_RUN],
            _ => &[LS, DU, DRY_RUN, PRUNE],
        }
    }

    /// The largest page of the service.
    fn page(self) -> usize {
        if self == Self::Served(Kind::Azblob) { 5_000 } else { 1_000 }
    }
}

/// A store that was made.
pub(crate) enum Place {
    Served { kind: Kind, size: Size, server: Server },
    Local(Directory),
}

impl Place {
    pub(crate) fn make(store: Store, (blobs, caches): (usize, usize), delay: Duration) -> Outcome<Self> {
        let size = Size { blobs, caches, page: store.page(), delay };
        Ok(match store {
            Store::Served(kind) => Self::Served { kind, size, server: Server::start(kind, size) },
            Store::Local => Self::Local(Directory::make(size)?),
        })
    }

    /// Restores the blobs that were deleted.
    pub(crate) fn fill(&mut self) -> Outcome<()> {
        match self {
            Self::Served { kind, size, server } => *server = Server::start(*kind, *size),
            Self::Local(directory) => directory.fill()?,
        }
        Ok(())
    }

    /// The number of requests or files of the bare listing, and its seconds.
    pub(crate) fn bare(&self) -> Outcome<(usize, f64)> {
        match self {
            Self::Served { kind, server, .. } => bare::listing(*kind, server),
            Self::Local(directory) => directory.bare(),
        }
    }

    pub(crate) fn deleted(&self) -> Outcome<usize> {
        match self {
            Self::Served { server, .. } => Ok(server.deleted()),
            Self::Local(directory) => directory.deleted(),
        }
    }

    pub(crate) fn run(&self, buildcache: &str, words: &[&str]) -> Outcome<(Figure, Option<Asked>)> {
        let mut command = Command::new(buildcache);
        command.arg("--quiet").args(words).arg(self.spec()).env("BENCH_KEY", base64(b"nothing"));
        let asked = || match self {
            Self::Served { server, .. } => Some(server.take_asked()),
            Self::Local(_) => None,
        };
        let _ = asked();
        Ok((measure(&mut command)?, asked()))
    }

    fn spec(&self) -> String {
        let (kind, server) = match self {
            Self::Served { kind, server, .. } => (kind, server),
            Self::Local(directory) => return format!("type=local,src={}", directory.path().display()),
        };
        match kind {
            Kind::S3 => format!(
                "type=s3,bucket={PLACE},region=us-east-1,endpoint_url={},use_path_style=true,access_key_id=nobody,\
                 secret_access_key=env:BENCH_KEY",
                server.endpoint()
            ),
            Kind::Azblob => format!(
                "type=azblob,account_url={},account_name={ACCOUNT},container={PLACE},secret_access_key=env:BENCH_KEY",
                server.endpoint()
            ),
            Kind::Registry => format!("type=registry,ref={}/{PLACE}:{}", server.host(), Content::name(0)),
        }
    }
}
