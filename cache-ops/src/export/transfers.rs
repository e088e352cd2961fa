//! Sending each blob to every place that needs it, with bounded concurrency.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use cache_core::{Descriptor, Error, Event, Result};
use futures_util::future::{BoxFuture, Either, FutureExt, join, join_all, select};
use tokio::sync::Semaphore;

use super::Place;
use super::convert::{Conversion, Outcome, Tools};
use super::gate::Gate;
use super::plan::Needed;
use super::share::{PendingRead, Share, SharedSource};
use super::source::Verified;
use super::spool::{Spool, Spooled};
use super::turn::PermittedSource;

/// How many layers are converted at once. Each of them keeps several threads busy; two hide each other's waits.
const CONVERSIONS: usize = 2;

/// The pushes and conversions that are under way. They have separate permits, so that the next layers are converted
/// while the last ones are sent.
pub(super) struct Transfers<'a> {
    source: &'a Verified<'a>,
    pushes: Arc<Gate>,
    conversions: Arc<Semaphore>,
    spool: Spool,
    width: usize,
}

/// The places that want a blob in one form, each with its own descriptor of it.
type Recipients<'a> = Vec<(&'a Place<'a>, &'a Descriptor)>;

/// A layer to convert, and the places that want it.
struct ConversionJob<'a> {
    conversion: &'a Conversion,
    layer: Descriptor,
    recipients: Recipients<'a>,
}

impl<'a> Transfers<'a> {
    pub(super) fn new(places: &[Place<'_>], source: &'a Verified<'a>) -> Self {
        let concurrency = places.iter().map(|place| place.settings.concurrency).max_by_key(|count| count.most());
        let concurrency = concurrency.unwrap_or_default();
        let most = concurrency.most();
        let conversions = if places.iter().any(|place| place.conversion().is_some()) { CONVERSIONS } else { 0 };
        let settling = if places.iter().any(Place::settles_apart) { most } else { 0 };
        let width = most.saturating_add(settling).saturating_add(conversions);
        let (pushes, conversions) = (Gate::new(concurrency), Arc::new(Semaphore::new(conversions)));
        places.iter().for_each(|place| place.obey(&pushes));
        Self { source, pushes, conversions, spool: Spool::default(), width }
    }

    /// How many blobs may be worked on at once.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Sends one blob to all places at once. No push that holds a permit waits for one that has none.
    pub(super) async fn send(&self, needed: Needed<'_>) {
        let (as_it_is, jobs) = self.sort(needed).await;
        let mut pending = Share::pending_reads(as_it_is.len() + jobs.len());
        let pending_conversions = pending.split_off(as_it_is.len());
        // Both turns are taken before either is used, always in this order, so that places read in step.
        let push = match &as_it_is[..] {
            [] => None,
            [(_, blob), ..] => Some(self.pushes.turn(blob.size).await),
        };
        let conversion = match jobs[..] {
            [] => None,
            _ => Arc::clone(&self.conversions).acquire_owned().await.ok(),
        };
        let pushing = async {
            // Several places share one read, and none of them knows when it is over for the others.
            let is_apart = matches!(as_it_is[..], [(place, _)] if place.settles_apart());
            let (lent, kept) = if is_apart { (push, None) } else { (None, push) };
            let source = PermittedSource::new(self.source, lent);
            let pushes = as_it_is.into_iter().zip(pending);
            let pushes: Vec<BoxFuture<'_, ()>> =
                pushes.map(|((place, blob), pending)| place.receive(blob, &source, pending).boxed()).collect();
            join_all(pushes).await;
            drop(kept);
        };
        let converting = async {
            let conversions = jobs.into_iter().zip(pending_conversions);
            let conversions: Vec<BoxFuture<'_, _>> =
                conversions.map(|(order, pending)| self.convert(order, pending).boxed()).collect();
            let made = join_all(conversions).await;
            drop(conversion);
            for (made, recipients) in made.into_iter().flatten() {
                match made {
                    Outcome::Converted(layer) => self.send_converted(&layer, recipients).await,
                    Outcome::AsItIs(reason) => self.send_unconverted(&reason, recipients).await,
                }
            }
        };
        join(pushing, converting).await;
    }

    /// Sorts the places by whether they take the blob as it is or converted.
    async fn sort<'b>(&self, needed: Needed<'b>) -> (Recipients<'b>, Vec<ConversionJob<'b>>) {
        let (mut as_it_is, mut jobs) = (Recipients::new(), Vec::<ConversionJob<'b>>::new());
        for (place, blob) in needed.by.into_iter().filter(|(place, _)| !place.has_failed()) {
            let Some(conversion) = place.conversion() else {
                as_it_is.push((place, blob));
                continue;
            };
            if let Some(order) = jobs.iter_mut().find(|order| order.conversion == conversion) {
                order.recipients.push((place, blob));
                continue;
            }
            match conversion.wants(blob, self.source).await {
                Ok(Some(layer)) => jobs.push(ConversionJob { conversion, layer, recipients: vec![(place, blob)] }),
                Ok(None) => as_it_is.push((place, blob)),
                Err(error) => place.fail(error.with("blob", blob.digest)),
            }
        }
        (as_it_is, jobs)
    }

    /// Converts a layer once for all places that want this compression; `None` if none is left.
    async fn convert<'b>(
        &self,
        order: ConversionJob<'b>,
        pending: Option<PendingRead>,
    ) -> Option<(Outcome, Recipients<'b>)> {
        let ConversionJob { conversion, layer, recipients } = order;
        let to = conversion.compression();
        recipients.iter().for_each(|(place, blob)| place.tell(&Event::Converting { blob, to }));
        let made = self.make(conversion, &layer, &recipients, pending).await?;
        match made {
            Ok(made) => Some((made, recipients)),
            Err(error) => {
                let error = error.with("blob", layer.digest);
                recipients.iter().for_each(|(place, _)| place.fail(error.clone()));
                None
            }
        }
    }

    /// Converts a layer, and retries on a retryable error; `None` if no place is left that wants it.
    async fn make(
        &self,
        conversion: &Conversion,
        layer: &Descriptor,
        recipients: &Recipients<'_>,
        mut pending: Option<PendingRead>,
    ) -> Option<Result<Outcome>> {
        let (first, _) = recipients.first()?;
        let once = || {
            let shared = SharedSource::new(self.source, pending.take());
            async move {
                let dir = spool(conversion, recipients).await?;
                let tools = Tools { source: &shared, pool: &self.source.pool, spool: &self.spool };
                conversion.run(layer, &tools, &dir).await
            }
        };
        let making = pin!(first.settings.retry.run_final(&*first.settings.progress, once));
        let nobody = pin!(join_all(recipients.iter().map(|(place, _)| place.failed().boxed())));
        match select(making, nobody).await {
            Either::Left((made, _)) => Some(made),
            Either::Right(_) => None,
        }
    }

    async fn send_converted(&self, layer: &Arc<Spooled>, recipients: Recipients<'_>) {
        let _push = self.pushes.turn(layer.descriptor.size).await;
        let source = Verified { inner: &**layer, pool: self.source.pool.clone() };
        let pushes = recipients.into_iter().map(|(place, blob)| {
            place.replace(blob, Arc::clone(layer));
            place.receive(&layer.descriptor, &source, None).boxed()
        });
        let pushes: Vec<BoxFuture<'_, ()>> = pushes.collect();
        join_all(pushes).await;
    }

    /// Sends an unconverted layer to the places that wanted a converted one.
    async fn send_unconverted(&self, reason: &Error, recipients: Recipients<'_>) {
        let size = recipients.first().map_or(0, |(_, blob)| blob.size);
        let (_push, reason) = (self.pushes.turn(size).await, reason.to_string());
        let pending = Share::pending_reads(recipients.len());
        let pushes = recipients.into_iter().zip(pending).map(|((place, blob), pending)| {
            place.tell(&Event::Unconverted { blob, reason: &reason });
            place.receive(blob, self.source, pending).boxed()
        });
        let pushes: Vec<BoxFuture<'_, ()>> = pushes.collect();
        join_all(pushes).await;
    }
}

/// The folder for a converted layer: the one that was set, else that of the first place on this machine.
async fn spool(conversion: &Conversion, recipients: &Recipients<'_>) -> Result<PathBuf> {
    if let Some(dir) = conversion.spool() {
        return Ok(dir.to_owned());
    }
    for (place, _) in recipients {
        if let Some(dir) = place.spool().await? {
            return Ok(dir);
        }
    }
    Ok(std::env::temp_dir())
}
