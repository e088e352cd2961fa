//! Sending each blob to every place that needs it, with bounded concurrency.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use cache_core::{Descriptor, Error, Event, Result};
use futures_util::future::{BoxFuture, Either, FutureExt, join, join_all, select};
use tokio::sync::Semaphore;

use super::Place;
use super::convert::{Conversion, Made, Tools};
use super::gate::Gate;
use super::plan::Needed;
use super::share::{Share, Shared, Ticket};
use super::source::Verified;
use super::spool::{Spool, Spooled};
use super::turn::Turned;

/// How many layers are converted at once. Each of them keeps several threads busy; two hide each other's waits.
const CONVERSIONS: usize = 2;

/// The pushes and conversions that are under way. Neither waits for the other's turn: the next layers are converted
/// while the last ones are sent.
pub(super) struct Lanes<'a> {
    source: &'a Verified<'a>,
    pushes: Arc<Gate>,
    conversions: Arc<Semaphore>,
    spool: Spool,
    width: usize,
}

/// The places that want a blob in one form, each with its own descriptor of it.
type Wanting<'a> = Vec<(&'a Place<'a>, &'a Descriptor)>;

/// A layer to convert, and the places that want it.
struct Order<'a> {
    conversion: &'a Conversion,
    layer: Descriptor,
    wanting: Wanting<'a>,
}

impl<'a> Lanes<'a> {
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

    /// Sends one blob to all places at once. No push holds a turn while it waits for one that has none.
    pub(super) async fn send(&self, needed: Needed<'_>) {
        let (as_it_is, orders) = self.sort(needed).await;
        let mut tickets = Share::tickets(as_it_is.len() + orders.len());
        let conversion_tickets = tickets.split_off(as_it_is.len());
        // Both turns are taken before either is used, always in this order, so that places read in step.
        let push = match &as_it_is[..] {
            [] => None,
            [(_, blob), ..] => Some(self.pushes.turn(blob.size).await),
        };
        let conversion = match orders[..] {
            [] => None,
            _ => Arc::clone(&self.conversions).acquire_owned().await.ok(),
        };
        let pushing = async {
            // Several places share one read, and none of them knows when it is over for the others.
            let is_apart = matches!(as_it_is[..], [(place, _)] if place.settles_apart());
            let (lent, kept) = if is_apart { (push, None) } else { (None, push) };
            let source = Turned::new(self.source, lent);
            let pushes = as_it_is.into_iter().zip(tickets);
            let pushes: Vec<BoxFuture<'_, ()>> =
                pushes.map(|((place, blob), ticket)| place.receive(blob, &source, ticket).boxed()).collect();
            join_all(pushes).await;
            drop(kept);
        };
        let converting = async {
            let conversions = orders.into_iter().zip(conversion_tickets);
            let conversions: Vec<BoxFuture<'_, _>> =
                conversions.map(|(order, ticket)| self.convert(order, ticket).boxed()).collect();
            let made = join_all(conversions).await;
            drop(conversion);
            for (made, wanting) in made.into_iter().flatten() {
                match made {
                    Made::Converted(layer) => self.send_converted(&layer, wanting).await,
                    Made::AsItIs(reason) => self.send_unconverted(&reason, wanting).await,
                }
            }
        };
        join(pushing, converting).await;
    }

    /// Who takes the blob as it is, and who takes it converted.
    async fn sort<'b>(&self, needed: Needed<'b>) -> (Wanting<'b>, Vec<Order<'b>>) {
        let (mut as_it_is, mut orders) = (Wanting::new(), Vec::<Order<'b>>::new());
        for (place, blob) in needed.by.into_iter().filter(|(place, _)| !place.has_failed()) {
            let Some(conversion) = place.conversion() else {
                as_it_is.push((place, blob));
                continue;
            };
            if let Some(order) = orders.iter_mut().find(|order| order.conversion == conversion) {
                order.wanting.push((place, blob));
                continue;
            }
            match conversion.wants(blob, self.source).await {
                Ok(Some(layer)) => orders.push(Order { conversion, layer, wanting: vec![(place, blob)] }),
                Ok(None) => as_it_is.push((place, blob)),
                Err(error) => place.fail(error.with("blob", blob.digest)),
            }
        }
        (as_it_is, orders)
    }

    /// Converts a layer once for all places that want this compression; `None` when none is left that does.
    async fn convert<'b>(&self, order: Order<'b>, ticket: Option<Ticket>) -> Option<(Made, Wanting<'b>)> {
        let Order { conversion, layer, wanting } = order;
        let to = conversion.compression();
        wanting.iter().for_each(|(place, blob)| place.tell(&Event::Converting { blob, to }));
        let made = self.make(conversion, &layer, &wanting, ticket).await?;
        match made {
            Ok(made) => Some((made, wanting)),
            Err(error) => {
                let error = error.with("blob", layer.digest);
                wanting.iter().for_each(|(place, _)| place.fail(error.clone()));
                None
            }
        }
    }

    /// Converts a layer, and retries where that may help; `None` when no place is left that wants it.
    async fn make(
        &self,
        conversion: &Conversion,
        layer: &Descriptor,
        wanting: &Wanting<'_>,
        mut ticket: Option<Ticket>,
    ) -> Option<Result<Made>> {
        let (first, _) = wanting.first()?;
        let once = || {
            let shared = Shared::new(self.source, ticket.take());
            async move {
                let dir = spool(conversion, wanting).await?;
                let tools = Tools { source: &shared, pool: &self.source.pool, spool: &self.spool };
                conversion.run(layer, &tools, &dir).await
            }
        };
        let making = pin!(first.settings.retry.run(&*first.settings.progress, once));
        let nobody = pin!(join_all(wanting.iter().map(|(place, _)| place.failed().boxed())));
        match select(making, nobody).await {
            Either::Left((made, _)) => Some(made),
            Either::Right(_) => None,
        }
    }

    async fn send_converted(&self, layer: &Arc<Spooled>, wanting: Wanting<'_>) {
        let _push = self.pushes.turn(layer.descriptor.size).await;
        let source = Verified { inner: &**layer, pool: self.source.pool.clone() };
        let pushes = wanting.into_iter().map(|(place, blob)| {
            place.replace(blob, Arc::clone(layer));
            place.receive(&layer.descriptor, &source, None).boxed()
        });
        let pushes: Vec<BoxFuture<'_, ()>> = pushes.collect();
        join_all(pushes).await;
    }

    /// Sends an unconverted layer to the places that wanted a converted one.
    async fn send_unconverted(&self, reason: &Error, wanting: Wanting<'_>) {
        let size = wanting.first().map_or(0, |(_, blob)| blob.size);
        let (_push, reason) = (self.pushes.turn(size).await, reason.to_string());
        let tickets = Share::tickets(wanting.len());
        let pushes = wanting.into_iter().zip(tickets).map(|((place, blob), ticket)| {
            place.tell(&Event::Unconverted { blob, reason: &reason });
            place.receive(blob, self.source, ticket).boxed()
        });
        let pushes: Vec<BoxFuture<'_, ()>> = pushes.collect();
        join_all(pushes).await;
    }
}

/// The folder for a converted layer: the one that was said, or that of the first place that has room for it anyway.
async fn spool(conversion: &Conversion, wanting: &Wanting<'_>) -> Result<PathBuf> {
    if let Some(dir) = conversion.spool() {
        return Ok(dir.to_owned());
    }
    for (place, _) in wanting {
        if let Some(dir) = place.spool().await? {
            return Ok(dir);
        }
    }
    Ok(std::env::temp_dir())
}
