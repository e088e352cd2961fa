//! `ls`: the caches in a store.

use cache_core::manifest::ManifestForm;
use cache_core::seams::CacheEntry;
use cache_core::{CacheStore, Digest, MediaType, Timestamp};
use cache_ops::EntryContent;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;

use crate::args::LsArgs;
use crate::exit::{Exit, Failure, with_causes};
use crate::output::{self, Report};
use crate::session::Session;
use crate::spec::Place;
use crate::table::{Column, Table};
use crate::text;

/// How many manifests are read at once, unless `--concurrency` is given.
const LOOKS: usize = 32;

/// `buildcache.ls/v1`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Listing {
    /// What this document is.
    schema: &'static str,
    /// What has a name in the store, or is a cache.
    caches: Vec<Listed>,
    /// Names that cannot be looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Unreadable>,
    #[serde(skip)]
    failure: Option<Failure>,
}

/// A name of the store, and why it cannot be looked at.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Unreadable {
    /// The name.
    name: String,
    /// Why it cannot be looked at.
    error: String,
}

/// One cache of the store.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Listed {
    /// Its tag, name or scope.
    name: Option<String>,
    /// What the name leads to; none in stores that keep caches alone.
    content: Option<EntryContent>,
    /// Its manifest, where the store says it.
    digest: Option<Digest>,
    /// The media type of the manifest.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    media_type: Option<MediaType>,
    /// The size of the manifest in bytes.
    size: Option<u64>,
    /// When it was last written, as far as is known.
    modified: Option<Timestamp>,
    /// When it was last used, where the store says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<Timestamp>,
}

/// Lists the caches. A store without caches is an empty list; a directory that does not exist is a failure.
pub(super) async fn run(session: &Session, args: &LsArgs) -> Result<Exit, Failure> {
    let mut place = Place::parse(session, &args.spec)?;
    let listing = list(session, &mut place).await?;
    let is_empty = listing.caches.is_empty() && listing.failure.is_none();
    if is_empty && place.is_directory() && !place.is_there() {
        return Err(place.no_cache());
    }
    output::print(session, &listing)?;
    for Unreadable { name, error } in &listing.unreadable {
        session.warn(format!("{name} cannot be read: {error}"));
    }
    match listing.failure {
        _ if !listing.caches.is_empty() => Ok(Exit::Done),
        Some(failure) => Err(failure),
        None => Ok(Exit::Done),
    }
}

async fn list(session: &Session, place: &mut Place) -> Result<Listing, Failure> {
    let store = place.required_store(session).await?;
    let found = store.list().await.map_err(|error| place.explain(error))?;
    let failure = found.unreadable.first().map(|cache| Failure::from(place.explain(cache.error.clone())));
    let unreadable =
        found.unreadable.into_iter().map(|cache| Unreadable { name: cache.name, error: with_causes(&cache.error) });
    let looks = found.caches.iter().map(|entry| content(&*store, entry)).collect::<Vec<_>>();
    let at_once = session.globals.concurrency.map_or(LOOKS, usize::from);
    let contents: Vec<Option<EntryContent>> = stream::iter(looks).buffered(at_once).collect().await;
    let listed = found.caches.into_iter().zip(contents);
    Ok(Listing {
        schema: "buildcache.ls/v1",
        caches: listed.map(|(entry, content)| Listed { content, ..Listed::from(entry) }).collect(),
        unreadable: unreadable.collect(),
        failure,
    })
}

/// What an entry leads to; `None` in stores that hold only caches.
async fn content(store: &dyn CacheStore, entry: &CacheEntry) -> Option<EntryContent> {
    entry.descriptor.as_ref()?;
    Some(EntryContent::of(store, entry).await.unwrap_or(EntryContent::Unreadable))
}

impl From<CacheEntry> for Listed {
    fn from(entry: CacheEntry) -> Self {
        let manifest = entry.descriptor;
        Self {
            name: entry.name,
            content: None,
            digest: manifest.as_ref().map(|manifest| manifest.digest),
            size: manifest.as_ref().map(|manifest| manifest.size).or(entry.size),
            media_type: manifest.map(|manifest| manifest.media_type).filter(|media_type| !media_type.is_empty()),
            modified: entry.modified.and_then(text::known),
            used: entry.used.and_then(text::known),
        }
    }
}

impl Report for Listing {
    fn table(&self, now: Timestamp, _: bool) -> String {
        let has_uses = self.caches.iter().any(|cache| cache.used.is_some());
        let used = has_uses.then_some(Column::Right("USED"));
        let columns = [
            Column::Left("NAME"),
            Column::Left("CONTENT"),
            Column::Left("DIGEST"),
            Column::Left("FORM"),
            Column::Right("MANIFEST"),
            Column::Right("AGE"),
        ];
        let mut table = Table::new(columns.into_iter().chain(used).collect::<Vec<_>>());
        for cache in &self.caches {
            let age = |time: Timestamp| text::age(time, now);
            let cells = [
                or_dash(cache.name.clone()),
                or_dash(cache.content.map(EntryContent::name)),
                or_dash(cache.digest),
                cache.media_type.as_ref().map_or_else(|| "-".to_owned(), form),
                or_dash(cache.size.map(text::size)),
                or_dash(cache.modified.map(age)),
            ];
            table.row(cells.into_iter().chain(has_uses.then(|| or_dash(cache.used.map(age)))));
        }
        table.to_string()
    }

    fn digests(&self) -> Vec<Digest> {
        self.caches.iter().filter_map(|cache| cache.digest).collect()
    }

    fn identifiers(&self) -> Vec<String> {
        let digest = |cache: &Listed| cache.digest.map(|digest| digest.to_string());
        self.caches.iter().filter_map(|cache| cache.name.clone().or_else(|| digest(cache))).collect()
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The name of the form with this media type; any other type as it is.
fn form(media_type: &MediaType) -> String {
    let forms = [ManifestForm::ImageManifest, ManifestForm::Index, ManifestForm::DockerList];
    let form = forms.into_iter().find(|form| form.media_type() == *media_type);
    form.map_or_else(|| media_type.to_string(), |form| form.name().to_owned())
}

#[cfg(test)]
mod tests {
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::{LAYERS, insert, session};

    #[tokio::test]
    async fn every_cache_of_the_store_is_listed_by_name() {
        let store = MemoryCache::new();
        insert(&store, "b", LAYERS).await;
        insert(&store, "a", LAYERS).await;
        let session = session(&store);
        let mut place = Place::parse(&session, "type=memory").unwrap();
        let listing = list(&session, &mut place).await.unwrap();
        let names: Vec<_> = listing.caches.iter().map(|cache| cache.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(listing.table(Timestamp::now(), false).lines().count(), 3);
    }

    #[tokio::test]
    async fn an_empty_store_is_an_empty_list() {
        let exit = run(&session(&MemoryCache::new()), &LsArgs { spec: "type=memory".to_owned() }).await.unwrap();
        assert_eq!(exit, Exit::Done);
    }

    #[test]
    fn forms_have_their_names_and_other_types_their_own() {
        assert_eq!(form(&MediaType::DOCKER_LIST), "docker-list");
        assert_eq!(form(&MediaType::DOCKER_MANIFEST), MediaType::DOCKER_MANIFEST.as_str());
    }
}
