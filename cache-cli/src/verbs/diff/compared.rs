//! A cache that is compared with another.

use cache_core::CacheManifest;

use crate::exit::Failure;
use crate::session::Session;
use crate::spec::Place;

/// One of the two caches.
pub(super) struct Compared {
    pub(super) place: Place,
    pub(super) manifest: CacheManifest,
}

impl Compared {
    pub(super) async fn read(session: &Session, spec: &str) -> Result<Self, Failure> {
        let mut place = Place::parse(session, spec)?;
        let (_, resolved) = place.resolve(session).await?;
        Ok(Self { place, manifest: resolved.manifest })
    }
}
