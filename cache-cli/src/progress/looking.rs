//! The progress of reading a large store: a line every few seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cache_ops::LookEvent;

use super::Reporter;
use crate::text;

/// The shortest time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Prints how far the reading of a store is. If it takes less than [`EVERY`], nothing is printed.
pub(crate) struct Looking {
    reporter: Arc<Reporter>,
    told: Mutex<Instant>,
}

impl Looking {
    pub(crate) fn new(reporter: &Arc<Reporter>) -> Self {
        Self { reporter: Arc::clone(reporter), told: Mutex::new(Instant::now()) }
    }

    pub(crate) fn tell(&self, event: LookEvent) {
        if self.is_time(Instant::now()) {
            self.reporter.note(&words(event));
        }
    }

    fn is_time(&self, now: Instant) -> bool {
        // A panic elsewhere leaves an old time at worst.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = now.saturating_duration_since(*told) >= EVERY;
        if is_time {
            *told = now;
        }
        is_time
    }
}

fn words(event: LookEvent) -> String {
    match event {
        LookEvent::Read { done, total } => format!("{done} of {} are read", text::count(total, "cache")),
        LookEvent::Listed { blobs } => format!("{} are listed", text::count(blobs, "blob")),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::ProgressForm;

    #[test]
    fn a_line_is_printed_every_five_seconds() {
        let looking = Looking::new(&Arc::new(Reporter::new(ProgressForm::Quiet, false)));
        let start = Instant::now();
        let told: Vec<u64> = (0..20).filter(|&at| looking.is_time(start + Duration::from_secs(at))).collect();
        assert_eq!(told, [5, 10, 15]);
        assert_eq!(words(LookEvent::Read { done: 7, total: 20_000 }), "7 of 20000 caches are read");
    }
}
