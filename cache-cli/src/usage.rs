//! The command line as it was typed, and what is said when it cannot be meant.

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, Error};

use crate::args::Cli;

/// Parses the command line, or ends the program with what is wrong with it.
pub(crate) fn parse(line: Vec<OsString>) -> Cli {
    Cli::try_parse_from(line).unwrap_or_else(|error| discreet(error).exit())
}

/// What a person typed where no verb, flag or spec is expected may be a spec with secrets in it, and is not repeated.
fn discreet(mut error: Error) -> Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        let is_secret = matches!(error.get(kind), Some(ContextValue::String(typed)) if !is_harmless(typed));
        if is_secret {
            error.insert(kind, ContextValue::String("…".to_owned()));
            // Advice that repeats it.
            error.insert(ContextKind::Suggested, ContextValue::None);
        }
    }
    error
}

/// A flag, a placeholder of the help, or a word that may be a misspelt verb.
fn is_harmless(typed: &str) -> bool {
    let is_flag = typed.starts_with(['-', '<', '[']) && !typed.contains('=');
    let is_word = typed.len() <= 12 && typed.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    is_flag || is_word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(args: &[&str]) -> String {
        discreet(Cli::try_parse_from([&["buildcache"], args].concat()).unwrap_err()).to_string()
    }

    #[test]
    fn a_spec_in_the_wrong_place_is_not_repeated() {
        for args in [
            &["type=s3,secret_access_key=hush"][..],
            &["verify", "type=local,src=a", "type=s3,secret_access_key=hush"],
            &["ls", "--tokn=hush", "type=local,src=a"],
            &["https://me:hush@host/x"],
        ] {
            assert!(!message(args).contains("hush"), "{}", message(args));
        }
    }

    #[test]
    fn a_misspelt_verb_or_flag_is_named() {
        assert!(message(&["inspct"]).contains("'inspct'"));
        assert!(message(&["ls", "--ouput", "json", "x"]).contains("'--ouput'"));
    }
}
