//! Asking before something is deleted.

use std::io::{self, IsTerminal as _};

use tokio::sync::oneshot;

use crate::messages;

/// Whether there is somebody to ask.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and takes anything but `y` or `yes` as no.
///
/// The answer is read on a thread of its own: nothing waits for it after Ctrl-C.
pub(crate) async fn ask(question: &str) -> bool {
    messages::question(question);
    let (send, answer) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        if io::stdin().read_line(&mut line).is_ok() {
            let _ = send.send(line);
        }
    });
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
