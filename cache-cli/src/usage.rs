//! Parses the command line, and reports errors in it.

use std::ffi::OsString;

use cache_core::CacheSpec;
use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::messages;

/// Flags of builds whose value is a spec.
const BUILD_FLAGS: [&str; 2] = ["--cache-to", "--cache-from"];

/// Parses the command line, or ends the program with an error.
pub(crate) fn parse(line: Vec<OsString>) -> Cli {
    let is_json = asks_for_json(&line);
    let line = as_verbs(line);
    Cli::try_parse_from(&line).unwrap_or_else(|error| {
        let error = with_pasted_spec(discreet(error), &line);
        // `--help` and `--version` are not failures.
        if is_json && error.use_stderr() {
            messages::failure_as_json(&failure(&error));
            std::process::exit(Exit::Usage.code().into());
        }
        error.exit()
    })
}

/// Rewrites three forms that clap does not know: `help specs` lists the attributes of specs, and does not show the help
/// of that verb; `help --help` is `help`; `version` is `--version`, as in other plugins of Docker.
fn as_verbs(mut line: Vec<OsString>) -> Vec<OsString> {
    let is = |line: &[OsString], at: usize, word: &str| line.get(at).is_some_and(|found| found == word);
    if is(&line, 1, "help") {
        line.retain(|word| word != "--help" && word != "-h");
        if is(&line, 2, "specs") {
            line.remove(1);
        }
    } else if is(&line, 1, "version") && line.len() == 2 {
        line[1] = "--version".into();
    }
    line
}

/// Whether the command line has `-o json`, even if it could not be parsed.
fn asks_for_json(line: &[OsString]) -> bool {
    let is_flag = |word: &OsString| word == "-o" || word == "--output";
    let is_both = |word: &OsString| ["-ojson", "-o=json", "--output=json"].iter().any(|both| word == both);
    line.iter().any(is_both) || line.windows(2).any(|pair| is_flag(&pair[0]) && pair[1] == "json")
}

/// Clap's message and tip, without its label and the usage.
fn failure(error: &Error) -> Failure {
    let text = error.to_string();
    let mut paragraphs = text.trim_start_matches("error: ").split("\n\n");
    let message = paragraphs.next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let tip = paragraphs.find_map(|paragraph| paragraph.trim().strip_prefix("tip: "));
    Failure { hint: tip.map(str::to_owned), ..Failure::usage(message) }
}

/// Suggests the spec, without its secrets, if a flag of a build was pasted with it.
fn with_pasted_spec(mut error: Error, line: &[OsString]) -> Error {
    let is_invalid =
        |flag: &&str| matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg == flag);
    let Some(flag) = BUILD_FLAGS.into_iter().find(is_invalid) else { return error };
    let tip = match value(line, flag).and_then(|value| value.parse::<CacheSpec>().ok()) {
        Some(spec) => format!("did you mean {spec}?"),
        None => format!("name the cache without {flag}"),
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

/// The value of a flag: after its `=`, or the next word.
fn value<'a>(line: &'a [OsString], flag: &str) -> Option<&'a str> {
    line.iter().enumerate().find_map(|(at, word)| match word.to_str()?.strip_prefix(flag)? {
        "" => line.get(at + 1)?.to_str(),
        rest => rest.strip_prefix('='),
    })
}

/// Removes from an error what may be a secret: an unexpected argument, which may be a spec, and the value of a flag. If
/// that value was forgotten, the flag takes the spec after it. Removes verbs that the help does not show, too.
fn discreet(mut error: Error) -> Error {
    if let Some(ContextValue::Strings(verbs)) = error.get(ContextKind::ValidSubcommand) {
        let shown = verbs.iter().filter(|verb| !verb.starts_with("__")).cloned().collect();
        error.insert(ContextKind::ValidSubcommand, ContextValue::Strings(shown));
    }
    // This kind has the name of the program in place of an argument.
    if error.kind() == ErrorKind::MissingSubcommand {
        return error;
    }
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue] {
        let is_secret = matches!(error.get(kind), Some(ContextValue::String(typed)) if !is_harmless(kind, typed));
        if is_secret {
            error.insert(kind, ContextValue::String("…".to_owned()));
            // The hint repeats the argument.
            error.insert(ContextKind::Suggested, ContextValue::None);
        }
    }
    error
}

/// Whether the text is a flag, a placeholder of the help, a short word that may be a misspelt verb or value, or numbers
/// as a value. A surplus argument may be a password.
fn is_harmless(kind: ContextKind, typed: &str) -> bool {
    let is_flag = typed.starts_with(['-', '<', '[']) && !typed.contains('=');
    let is_word = typed.len() <= 12 && typed.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_number = typed.len() <= 12 && typed.chars().all(|c| c.is_ascii_digit() || c == '/');
    is_flag || (is_word && kind != ContextKind::InvalidArg) || (is_number && kind == ContextKind::InvalidValue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(args: &[&str]) -> String {
        let line: Vec<OsString> = ["buildcache"].iter().chain(args).map(OsString::from).collect();
        with_pasted_spec(discreet(Cli::try_parse_from(&line).unwrap_err()), &line).to_string()
    }

    #[test]
    fn a_spec_in_the_wrong_place_is_not_repeated() {
        for args in [
            &["type=s3,secret_access_key=hush"][..],
            &["verify", "type=local,src=a", "type=s3,secret_access_key=hush"],
            &["ls", "--tokn=hush", "type=local,src=a"],
            &["https://me:hush@host/x"],
            &["ls", "--timeout", "type=s3,secret_access_key=hush"],
            &["ls", "--progress", "type=s3,secret_access_key=hush"],
            &["ls", "--concurrency", "type=s3,secret_access_key=hush"],
            &["copy", "--mode", "type=s3,secret_access_key=hush", "a", "b"],
            &["prune", "--max-used-space", "https://me:hush@host/x", "a"],
            &["completions", "type=s3,secret_access_key=hush"],
            &["login", "-u", "me", "--password-stdin", "ghcr.io", "hush"],
            &["login", "-u", "me", "--password=hush", "ghcr.io"],
            &["verify", "--shard", "type=s3,secret_access_key=hush"],
            &["ls", "--cache-to=type=s3,secret_access_key=hush"],
            &["ls", "--cache-from", "https://me:hush@host/x"],
        ] {
            assert!(!message(args).contains("hush"), "{}", message(args));
        }
    }

    #[test]
    fn errors_of_the_command_line_are_json_if_that_was_asked_for() {
        let line = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(asks_for_json(&line(&["buildcache", "ls", "-o", "json"])));
        assert!(asks_for_json(&line(&["buildcache", "--output=json", "lss"])));
        assert!(!asks_for_json(&line(&["buildcache", "ls", "json", "-o", "table"])));
        let error = Cli::try_parse_from(["buildcache", "ls", "--ouput", "json", "x"]).unwrap_err();
        let failure = failure(&error);
        assert_eq!(failure.message, "unexpected argument '--ouput' found");
        assert!(failure.hint.unwrap().contains("--output"));
    }

    #[test]
    fn version_and_help_specs_work_without_being_verbs() {
        let line = |words: &[&str]| as_verbs(words.iter().map(OsString::from).collect());
        assert_eq!(line(&["docker-buildcache", "version"]), ["docker-buildcache", "--version"]);
        assert_eq!(line(&["buildcache", "help", "specs", "s3"]), ["buildcache", "specs", "s3"]);
        assert_eq!(line(&["buildcache", "ls", "version"]), ["buildcache", "ls", "version"]);
    }

    #[test]
    fn help_takes_the_flag_for_help() {
        let line = |words: &[&str]| as_verbs(words.iter().map(OsString::from).collect());
        assert_eq!(line(&["buildcache", "help", "--help"]), ["buildcache", "help"]);
        assert_eq!(line(&["buildcache", "help", "ls", "-h"]), ["buildcache", "help", "ls"]);
        assert_eq!(line(&["buildcache", "ls", "--help"]), ["buildcache", "ls", "--help"]);
    }

    #[test]
    fn the_spec_of_a_pasted_flag_is_suggested() {
        let meant = "tip: did you mean type=local,dest=cache,mode=max?";
        let spec = "type=local,dest=cache,mode=max";
        for flag in BUILD_FLAGS {
            let told = [message(&["inspect", flag, spec]), message(&["inspect", &format!("{flag}={spec}")])];
            assert!(told.iter().all(|told| told.contains(meant)), "{told:?}");
            assert!(message(&["inspect", flag]).contains(&format!("tip: name the cache without {flag}")));
        }
    }

    #[test]
    fn a_missing_verb_is_answered_with_those_of_the_help() {
        let told = message(&["-o", "json"]);
        assert!(told.contains("'buildcache' requires") && told.contains("man") && !told.contains("__"), "{told}");
    }

    #[test]
    fn an_invalid_number_is_shown_with_what_is_accepted() {
        let told = message(&["verify", "--shard", "2", "x"]);
        assert!(told.contains("'2'") && told.contains("a shard is K/N") && !told.contains("0/0"), "{told}");
    }

    #[test]
    fn a_misspelt_verb_or_flag_is_named() {
        assert!(message(&["inspct"]).contains("'inspct'"));
        assert!(message(&["ls", "--ouput", "json", "x"]).contains("'--ouput'"));
        assert!(message(&["ls", "--progress", "plian", "x"]).contains("'plian'"));
    }
}
