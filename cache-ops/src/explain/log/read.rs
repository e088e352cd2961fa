//! From the bytes of a log to its vertices.

use std::collections::HashMap;
use std::io::BufRead;

use cache_core::{Digest, Error, ErrorKind, Result};

use super::line::Line;
use super::vertex::Draft;
use super::{BuildLog, Vertex};

/// How many lines about imports are kept, and how much of each.
const WARNINGS: usize = 10;
const WARNING: usize = 500;

/// The longest line that is skipped, in multiples of the longest one that is read.
const PASSED_BY: usize = 8;

/// Limits on what a log may cost, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLimits {
    /// The longest line that is read, in bytes; a longer one is skipped, up to eight times that length.
    pub line: usize,
    /// The most bytes that are read, skipped lines included.
    pub total: u64,
    /// How many vertices there may be.
    pub vertices: usize,
    /// How many inputs all vertices may have together.
    pub inputs: usize,
    /// How many bytes all names and errors may have together.
    pub text: usize,
}

impl Default for LogLimits {
    /// 8 MiB for a line, 1 GiB for all, 100,000 vertices, a million inputs, 64 MiB of text.
    fn default() -> Self {
        Self { line: 8 << 20, total: 1 << 30, vertices: 100_000, inputs: 1_000_000, text: 64 << 20 }
    }
}

impl BuildLog {
    /// Reads a log.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a log in plain text and for one without any vertex,
    /// [`ErrorKind::LimitExceeded`] for one with more bytes, vertices, inputs or text than the limits allow,
    /// [`ErrorKind::Unavailable`] when it cannot be read.
    pub fn read(log: impl BufRead, limits: &LogLimits) -> Result<Self> {
        let mut log = log.take(limits.total.saturating_add(1));
        let mut reading = Reading { limits: *limits, ..Reading::default() };
        let mut bytes = Vec::new();
        while let Some(end) = next_line(&mut log, &mut bytes, limits.line)? {
            reading.line(&bytes, end)?;
        }
        if log.limit() == 0 {
            return Err(too_many("bytes", limits.total));
        }
        reading.finish()
    }
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Newline,
    /// It was longer than a line may be; the rest was skipped.
    TooLong,
    Eof,
}

/// Reads up to the next end of a line; `None` at the end of the log.
fn next_line(log: &mut impl BufRead, line: &mut Vec<u8>, limit: usize) -> Result<Option<End>> {
    line.clear();
    let (mut is_too_long, mut length) = (false, 0_usize);
    loop {
        let read = log.fill_buf();
        let read = match read {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(unreadable)?,
        };
        if read.is_empty() {
            return Ok((!line.is_empty() || is_too_long).then_some(if is_too_long { End::TooLong } else { End::Eof }));
        }
        let newline = read.iter().position(|byte| *byte == b'\n');
        let (part, used) = newline.map_or((read, read.len()), |at| (&read[..at], at + 1));
        length = length.saturating_add(part.len());
        if length > limit.saturating_mul(PASSED_BY) {
            return Err(too_many("bytes in a line", limit.saturating_mul(PASSED_BY)));
        }
        if length > limit {
            is_too_long = true;
            line.clear();
        } else if !is_too_long {
            line.extend_from_slice(part);
        }
        log.consume(used);
        if newline.is_some() {
            return Ok(Some(if is_too_long { End::TooLong } else { End::Newline }));
        }
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "build log cannot be read").with_source(error)
}

#[derive(Debug, Default)]
struct Reading {
    limits: LogLimits,
    drafts: Vec<(Digest, Draft)>,
    places: HashMap<Digest, usize>,
    inputs: usize,
    text: usize,
    other_lines: usize,
    plain_lines: usize,
    is_cut: bool,
    import_warnings: Vec<String>,
}

impl Reading {
    fn line(&mut self, bytes: &[u8], end: End) -> Result<()> {
        let text = bytes.trim_ascii();
        if text.is_empty() && end != End::TooLong {
            return Ok(());
        }
        let parsed = if text.starts_with(b"{") { serde_json::from_slice::<Line<'_>>(text).ok() } else { None };
        if let Some(line) = parsed {
            return self.progress(&line);
        }
        self.other_lines += 1;
        self.is_cut = end == End::Eof && text.starts_with(b"{");
        self.plain_lines += usize::from(is_plain_progress(text));
        if self.import_warnings.len() < WARNINGS && contains(text, b"cache import at") {
            self.import_warnings.push(message(&String::from_utf8_lossy(text)));
        }
        Ok(())
    }

    fn progress(&mut self, line: &Line<'_>) -> Result<()> {
        for event in &line.vertexes {
            let Some(digest) = event.digest else { continue };
            let place = self.place(digest)?;
            let draft = &mut self.drafts[place].1;
            if draft.inputs.is_empty() && !event.inputs.is_empty() {
                self.inputs = self.inputs.saturating_add(event.inputs.len());
                draft.inputs.clone_from(&event.inputs);
            }
            let before = draft.text();
            draft.add(event);
            self.text = self.text.saturating_add(draft.text()).saturating_sub(before);
        }
        if self.inputs > self.limits.inputs {
            return Err(too_many("inputs", self.limits.inputs));
        }
        if self.text > self.limits.text {
            return Err(too_many("bytes of names and errors", self.limits.text));
        }
        for status in line.statuses.iter().filter(|status| status.is_of_a_layer()) {
            let known = status.vertex.and_then(|vertex| self.places.get(&vertex).copied());
            if let Some(place) = known {
                self.drafts[place].1.has_fetched = true;
            }
        }
        Ok(())
    }

    fn place(&mut self, digest: Digest) -> Result<usize> {
        if let Some(&place) = self.places.get(&digest) {
            return Ok(place);
        }
        let place = self.drafts.len();
        if place >= self.limits.vertices {
            return Err(too_many("vertices", self.limits.vertices));
        }
        self.drafts.push((digest, Draft::default()));
        self.places.insert(digest, place);
        Ok(place)
    }

    fn finish(self) -> Result<BuildLog> {
        if self.drafts.is_empty() {
            return Err(no_progress(self.plain_lines > 0));
        }
        let place = |input: &Digest| self.places.get(input).copied();
        let finish = |(digest, draft): (Digest, Draft)| -> Vertex {
            let inputs = draft.inputs.iter().map(place).collect();
            draft.finish(digest, inputs)
        };
        Ok(BuildLog {
            vertices: self.drafts.into_iter().map(finish).collect(),
            other_lines: self.other_lines,
            is_cut: self.is_cut,
            import_warnings: self.import_warnings,
        })
    }
}

/// `#7 [build 2/4] RUN make`, as the plain form has it.
fn is_plain_progress(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"#") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits) == Some(&b' ')
}

/// The message in a line of the client's log: `time="…" level=warning msg="local cache import at …" spanID=…`.
fn message(line: &str) -> String {
    let said =
        line.split_once("msg=\"").map_or(line, |(_, rest)| rest.split_once("\" ").map_or(rest, |(said, _)| said));
    said.trim_end_matches('"').chars().take(WARNING).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn too_many(what: &str, limit: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("build log has too many {what}")).with("limit", limit)
}

fn no_progress(is_plain: bool) -> Error {
    let message = if is_plain { "build log is plain text" } else { "build log tells of no step" };
    Error::new(ErrorKind::Unsupported, message).with_hint(
        "build with --progress=rawjson (docker buildx build or buildctl build) and keep what it writes to stderr",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::explain::log::StepOutcome;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read(log: &str) -> Result<BuildLog> {
        BuildLog::read(log.as_bytes(), &LogLimits::default())
    }

    fn done(digest: &str, inputs: &str) -> String {
        format!(
            r#"{{"vertexes":[{{"digest":"{digest}","inputs":[{inputs}],"name":"[a 1/1] RUN x","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:02Z"}}],"statuses":null}}"#
        )
    }

    #[test]
    fn lines_that_are_no_progress_are_counted_and_passed_by() {
        let log = format!("time=\"x\" level=warning\n\n{}\n[]\n{{\"vertexes\":7}}\n{{}}\n", done(A, ""));
        let log = read(&log).unwrap();
        assert_eq!((log.vertices.len(), log.other_lines, log.is_cut), (1, 3, false));
        assert_eq!((log.vertices[0].outcome, log.duration()), (StepOutcome::Ran, Duration::from_secs(2)));
    }

    #[test]
    fn a_log_that_breaks_off_within_a_line_says_so() {
        let log = format!("{}\n{}", done(A, ""), &done(B, "")[..50]);
        let log = read(&log).unwrap();
        assert_eq!((log.vertices.len(), log.is_cut), (1, true));
    }

    #[test]
    fn inputs_keep_their_order_and_unknown_ones_their_place() {
        let log = [done(A, ""), done(B, &format!(r#""sha256:{}","{A}""#, "c".repeat(64)))].join("\n");
        assert_eq!(read(&log).unwrap().vertices[1].inputs, [None, Some(0)]);
    }

    #[test]
    fn a_plain_log_is_refused_with_the_flag_to_use() {
        let error = read("#1 [internal] load build definition\n#1 DONE 0.0s\n").unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unsupported, "build log is plain text"));
        assert!(error.hint().unwrap().contains("--progress=rawjson"));
        assert_eq!(read("").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn warnings_of_the_client_about_imports_are_kept() {
        let warning = r#"time="x" level=warning msg="local cache import at /c skipped due to err: gone" spanID=1"#;
        let log = read(&format!("{warning}\n{}\n", done(A, ""))).unwrap();
        assert_eq!(log.import_warnings, ["local cache import at /c skipped due to err: gone"]);
    }

    #[test]
    fn an_endless_line_is_skipped_and_vertices_are_bounded() {
        let limits = LogLimits { line: 1000, vertices: 1, ..LogLimits::default() };
        let long = format!("{{{}\n{}\n", "x".repeat(5000), done(A, ""));
        let log = BuildLog::read(long.as_bytes(), &limits).unwrap();
        assert_eq!((log.vertices.len(), log.other_lines), (1, 1));
        let two = [done(A, ""), done(B, "")].join("\n");
        assert_eq!(BuildLog::read(two.as_bytes(), &limits).unwrap_err().kind(), ErrorKind::LimitExceeded);
        let limits = LogLimits { text: 20, ..LogLimits::default() };
        assert_eq!(BuildLog::read(two.as_bytes(), &limits).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }

    /// Each takes two bytes, and a hundred times that in memory.
    #[test]
    fn a_line_of_empty_events_is_passed_by() {
        let line = format!(r#"{{"statuses":[{}{{}}]}}"#, "{},".repeat(200_000));
        let log = read(&format!("{line}\n{}\n", done(A, ""))).unwrap();
        assert_eq!((log.vertices.len(), log.other_lines), (1, 1));
    }
}
