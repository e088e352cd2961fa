//! `rm`: deletes a cache from its store, and with `--blobs` the blobs that only it reached.

pub(super) mod advice;
mod plan;
pub(super) mod report;

use cache_core::seams::{BlobEntry, ContributionName, Deleted};
use cache_core::{CacheStore, Error, ErrorKind};
use cache_ops::Reach;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use self::plan::Plan;
use self::report::Removal;
use crate::args::RmArgs;
use crate::confirm;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use crate::spec::Place;
use crate::text;

/// Deletes the name of the cache, then its blobs.
pub(super) async fn run(session: &Session, args: &RmArgs) -> Result<Exit, Failure> {
    let is_asked = !args.force && !args.dry_run;
    if is_asked && !confirm::is_possible() {
        let failure = Failure::usage("rm asks before it deletes, and there is no terminal to ask on");
        return Err(failure.with_hint("-f deletes without asking, --dry-run says what would be deleted"));
    }
    let mut place = Place::parse(session, &args.spec)?;
    let store = place.required_store(session).await?;
    let plan = plan::plan(&*store, &place, args).await?;
    if is_asked {
        plan.blobs.iter().for_each(|blobs| {
            confirm::list(blobs.iter().map(|(blob, size)| (*blob, size)), session.globals.is_verbose());
        });
    }
    if is_asked && !confirm::ask(&question(&place, &plan)).await {
        return Err(Failure::new(Exit::Failed, "nothing is deleted: the answer was not yes"));
    }
    let removal = if args.dry_run { Removal::dry_run(&plan) } else { delete(session, &*store, &place, &plan).await? };
    output::print(session, &removal)?;
    if let Some(collection) = store.own_collection().filter(|_| !args.dry_run) {
        session.reporter.note(&format!("its blobs stay for now: {collection}"));
    }
    Ok(Exit::Done)
}

fn question(place: &Place, plan: &Plan) -> String {
    let blobs = plan
        .blobs
        .as_ref()
        .map(|blobs| format!(" and {} ({})", text::count(blobs.iter().count(), "blob"), text::size(blobs.bytes())));
    format!("Delete {}{} from {}? [y/N]", plan.label(), blobs.unwrap_or_default(), place.store_spec())
}

async fn delete(session: &Session, store: &dyn CacheStore, place: &Place, plan: &Plan) -> Result<Removal, Failure> {
    if store.delete_cache(&plan.entry).await.map_err(|error| place.explain(error))? == Deleted::Absent {
        return Err(place.no_cache());
    }
    delete_contributions(store, plan).await.map_err(|error| place.explain(error))?;
    let mut removal = Removal::new(plan);
    if plan.blobs.is_some() {
        let deleted = delete_blobs(session, store, plan, &mut removal).await;
        deleted.map_err(|error| {
            let mut failure = Failure::from(place.explain(error));
            failure.message = format!("the cache is deleted, but not all of its blobs: {}", failure.message);
            failure
        })?;
    }
    Ok(removal)
}

/// Deletes the contributions to the cache, since the next publisher would add them again.
async fn delete_contributions(store: &dyn CacheStore, plan: &Plan) -> Result<(), Error> {
    let Some(name) = &plan.entry.name else { return Ok(()) };
    for entry in store.contributions().await? {
        let contribution = entry.name.as_deref().and_then(ContributionName::parse);
        if contribution.is_some_and(|contribution| contribution.is_of(name)) {
            store.delete_cache(&entry).await?;
        }
    }
    Ok(())
}

/// Deletes the blobs that only this cache reached. The other caches are read again, so that one that was written in
/// between keeps its blobs.
async fn delete_blobs(
    session: &Session,
    store: &dyn CacheStore,
    plan: &Plan,
    removal: &mut Removal,
) -> Result<(), Error> {
    let mut others = store.caches().await?;
    others.extend(store.contributions().await?);
    let free = plan::free(store, &plan.reach, others).await?;
    let entries: Vec<BlobEntry> = store.blobs().try_filter(|entry| is_in(&free, entry)).try_collect().await?;
    let deletions = entries.iter().map(|entry| async move { (entry, store.delete_blob(entry).await) });
    let mut deletions = stream::iter(deletions).buffer_unordered(session.concurrency());
    while let Some((entry, deleted)) = deletions.next().await {
        match deleted {
            Ok(Deleted::Removed) => removal.add(entry.digest, entry.size),
            Ok(Deleted::Absent) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => removal.keep(entry.digest),
            Err(error) => return Err(error.with("blob", entry.digest)),
        }
    }
    Ok(())
}

fn is_in(free: &Reach, entry: &BlobEntry) -> impl Future<Output = bool> + use<> {
    std::future::ready(free.contains(&entry.digest))
}

#[cfg(test)]
mod tests {
    use cache_core::manifest::Document;
    use cache_core::seams::ImageStore as _;
    use cache_core::{Descriptor, Digest, Expect, MediaType};
    use cache_memory::MemoryCache;

    use super::*;
    use crate::tests::{LAYERS, insert, layer, session};

    fn args(name: &str) -> RmArgs {
        RmArgs { spec: format!("type=memory,name={name}"), force: true, blobs: true, any: false, dry_run: false }
    }

    async fn holds(store: &MemoryCache, content: &str) -> bool {
        let blobs: Vec<BlobEntry> = store.blobs().try_collect().await.unwrap();
        blobs.iter().any(|blob| blob.digest == layer(content).digest)
    }

    #[tokio::test]
    async fn blobs_that_another_cache_reaches_stay() {
        let store = MemoryCache::new();
        insert(&store, "a", &["a", "bb"]).await;
        insert(&store, "b", &["a", "cccc"]).await;
        run(&session(&store), &args("a")).await.unwrap();
        assert_eq!(store.caches().await.unwrap().len(), 1);
        assert_eq!(
            [holds(&store, "a").await, holds(&store, "bb").await, holds(&store, "cccc").await],
            [true, false, true]
        );
    }

    #[tokio::test]
    async fn the_last_cache_takes_everything_of_its_own_with_it() {
        let store = MemoryCache::new();
        insert(&store, "a", LAYERS).await;
        let garbage = store.insert("garbage");
        run(&session(&store), &args("a")).await.unwrap();
        let blobs: Vec<BlobEntry> = store.blobs().try_collect().await.unwrap();
        assert_eq!(blobs.iter().map(|blob| blob.digest).collect::<Vec<_>>(), [garbage]);
    }

    #[tokio::test]
    async fn two_names_of_one_cache_keep_its_blobs_until_both_are_gone() {
        let store = MemoryCache::new();
        insert(&store, "a", LAYERS).await;
        insert(&store, "b", LAYERS).await;
        run(&session(&store), &args("a")).await.unwrap();
        assert!(holds(&store, "a").await);
        run(&session(&store), &args("b")).await.unwrap();
        assert!(!holds(&store, "a").await);
    }

    #[tokio::test]
    async fn without_blobs_only_the_name_goes() {
        let store = MemoryCache::new();
        insert(&store, "a", LAYERS).await;
        run(&session(&store), &RmArgs { blobs: false, ..args("a") }).await.unwrap();
        assert!(store.caches().await.unwrap().is_empty());
        assert!(holds(&store, "a").await);
    }

    #[tokio::test]
    async fn a_dry_run_deletes_nothing() {
        let store = MemoryCache::new();
        insert(&store, "a", LAYERS).await;
        run(&session(&store), &RmArgs { dry_run: true, force: false, ..args("a") }).await.unwrap();
        assert_eq!(store.caches().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn blobs_are_not_deleted_while_another_cache_cannot_be_read() {
        let store = MemoryCache::new();
        insert(&store, "a", &["a"]).await;
        insert(&store, "b", &["bb"]).await;
        let manifest = store.caches().await.unwrap().pop().unwrap().descriptor.unwrap();
        store.overwrite(manifest.digest, "{");
        let failure = run(&session(&store), &args("a")).await.unwrap_err();
        assert!(failure.message.starts_with("cache b ("), "{}", failure.message);
        assert_eq!(store.caches().await.unwrap().len(), 2);
    }

    /// An image without layers, under a name.
    async fn insert_image(store: &MemoryCache, name: &str) -> Digest {
        let config = Descriptor::of(MediaType::OCI_CONFIG, b"{}");
        let _ = store.insert("{}");
        let json = serde_json::json!({ "config": config, "layers": [] }).to_string();
        let image = Document::new(MediaType::OCI_MANIFEST, json);
        store.named(name).put_root(&image, Expect::Any).await.unwrap();
        image.descriptor.digest
    }

    #[tokio::test]
    async fn a_name_of_something_else_is_deleted_only_with_any_and_never_its_blobs() {
        let store = MemoryCache::new();
        let image = insert_image(&store, "app").await;
        let session = session(&store);
        let refused = async |blobs, any| run(&session, &RmArgs { blobs, any, ..args("app") }).await.unwrap_err().exit;
        assert_eq!(refused(false, false).await, Exit::NoCache);
        assert_eq!([refused(true, false).await, refused(true, true).await], [Exit::Usage, Exit::Usage]);
        assert_eq!(store.caches().await.unwrap().len(), 1);
        run(&session, &RmArgs { blobs: false, any: true, ..args("app") }).await.unwrap();
        assert!(store.caches().await.unwrap().is_empty());
        let blobs: Vec<BlobEntry> = store.blobs().try_collect().await.unwrap();
        assert!(blobs.iter().any(|blob| blob.digest == image));
    }

    #[tokio::test]
    async fn a_name_that_is_not_there_is_no_cache() {
        let failure = run(&session(&MemoryCache::new()), &args("x")).await.unwrap_err();
        assert_eq!(failure.exit, Exit::NoCache);
    }
}
