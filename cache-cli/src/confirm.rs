//! Asking for confirmation before a deletion.

use std::io::{self, IsTerminal as _};

use cache_core::Digest;
use tokio::sync::oneshot;

use crate::{messages, text};

/// Whether stdin is a terminal.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Blobs that are named before the question, unless all are asked for.
const NAMED: usize = 20;

/// Lists the blobs that would be deleted.
pub(crate) fn list(blobs: impl Iterator<Item = (Digest, u64)>, all: bool) {
    let mut left = 0_usize;
    for (at, (digest, size)) in blobs.enumerate() {
        match all || at < NAMED {
            true => messages::line(&format!("  blob {digest}  {}", text::size(size))),
            false => left += 1,
        }
    }
    if left > 0 {
        messages::line(&format!("  and {} more; -v names all", text::count(left, "blob")));
    }
}

/// Asks, and takes any answer but `y` or `yes` as no.
///
/// The answer is read on its own thread, so that Ctrl-C need not wait for it.
pub(crate) async fn ask(question: &str) -> bool {
    messages::question(question);
    let (send, answer) = oneshot::channel();
    let read = move || {
        let mut line = String::new();
        if io::stdin().read_line(&mut line).is_ok() {
            let _ = send.send(line);
        }
    };
    // If no thread can be started, there is no answer, which counts as no.
    drop(std::thread::Builder::new().spawn(read));
    answer.await.is_ok_and(|line| is_yes(&line))
}

fn is_yes(line: &str) -> bool {
    ["y", "yes"].contains(&line.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Yes\n", " YES "].into_iter().all(is_yes));
        assert!(["", "\n", "n\n", "yeah\n"].into_iter().all(|line| !is_yes(line)));
    }
}
