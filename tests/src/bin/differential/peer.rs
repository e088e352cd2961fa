//! The program that runs BuildKit's code: it answers each line of JSON with one.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::answers::Answers;
use super::configs::{Case, Query};

/// A running peer, which ends when its input ends.
pub(super) struct Peer {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    pub(super) fn start(program: &Path) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("the peer has no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("the peer has no output")?);
        Ok(Self { _child: child, input, output })
    }

    /// Has the peer import a document several times, with all lookups each time. The inner error is BuildKit's message
    /// if it refuses the document.
    pub(super) fn ask(
        &mut self,
        document: &str,
        case: &Case,
        times: usize,
    ) -> Result<Result<Vec<Answers>, String>, Box<dyn Error>> {
        let queries: Vec<Value> = case.queries.iter().map(Query::to_json).collect();
        let request = json!({ "document": document, "blobs": case.blobs, "queries": queries, "times": times });
        writeln!(self.input, "{request}")?;
        self.input.flush()?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the peer ended".into());
        }
        let response: Value = serde_json::from_str(&line)?;
        if let Some(error) = response["error"].as_str() {
            return Ok(Err(error.to_owned()));
        }
        let runs = response["runs"].as_array().ok_or("the peer answered with neither an error nor runs")?;
        Ok(Ok(runs.iter().map(Answers::found).collect()))
    }
}
