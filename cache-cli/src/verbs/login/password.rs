//! Reads the password from stdin, since other users can see arguments and variables.

use std::io::{self, IsTerminal as _, Read};

use tokio::sync::oneshot;

use crate::exit::{Exit, Failure};

/// The longest password that is accepted; tokens are a few KiB.
const MOST_BYTES: u64 = 64 << 10;

/// Reads the password on its own thread, so that Ctrl-C need not wait for it.
pub(super) async fn read() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        let failure = Failure::usage("stdin is a terminal, which would show the password");
        return Err(failure.with_hint("write it to stdin: printf %s \"$TOKEN\" | buildcache login …"));
    }
    let (send, answer) = oneshot::channel();
    drop(std::thread::Builder::new().spawn(move || send.send(read_from(io::stdin().lock()))));
    answer.await.unwrap_or_else(|_| Err(Failure::new(Exit::Failed, "stdin cannot be read")))
}

/// Reads everything, without the end of line that `echo` adds.
fn read_from(input: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    let read = input.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::new(Exit::Failed, format!("cannot read the password: {error}")))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.len() as u64 {
        0 => Err(Failure::usage("there is no password on stdin")),
        1..=MOST_BYTES => Ok(password.to_owned()),
        _ => Err(Failure::usage("the input on stdin is too long for a password")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_line_is_no_part_of_a_password() {
        for (text, password) in [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")] {
            assert_eq!(read_from(text.as_bytes()).unwrap(), password);
        }
        for text in ["", "\n", "\r\n"] {
            assert_eq!(read_from(text.as_bytes()).unwrap_err().exit, Exit::Usage, "{text:?}");
        }
    }

    #[test]
    fn endless_and_binary_passwords_are_refused() {
        assert_eq!(read_from(io::repeat(b'a')).unwrap_err().exit, Exit::Usage);
        assert!(read_from(&b"\xff"[..]).is_err());
    }
}
