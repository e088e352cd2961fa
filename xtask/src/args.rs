//! Parses a command line, one flag at a time.

use crate::failure::Failure;

/// The words of the command line that are not parsed yet.
pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Removes a flag and returns whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() < before
    }

    /// Removes `NAME VALUE` or `NAME=VALUE` and returns the value; `None` if there is none.
    pub(crate) fn option(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let prefix = format!("{name}=");
        let Some(at) = self.0.iter().position(|word| word == name || word.starts_with(&prefix)) else {
            return Ok(None);
        };
        let word = self.0.remove(at);
        if let Some(value) = word.strip_prefix(&prefix) {
            return Ok(Some(value.to_owned()));
        }
        if at == self.0.len() {
            return Err(Failure::usage(format!("`{name}` wants a value")));
        }
        Ok(Some(self.0.remove(at)))
    }

    /// Removes the first word and returns it.
    pub(crate) fn next(&mut self) -> Option<String> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }

    /// The words that are left; fails if one of them is a flag.
    pub(crate) fn operands(self) -> Result<Vec<String>, Failure> {
        match self.0.iter().find(|word| word.starts_with('-')) {
            Some(word) => Err(Failure::usage(format!("unknown flag `{word}`"))),
            None => Ok(self.0),
        }
    }

    /// The words that are left, flags included.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0
    }

    /// Fails if a word is left.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self.0.first() {
            Some(word) => Err(Failure::usage(format!("unexpected argument `{word}`"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_option_takes_its_value_in_both_forms() {
        assert_eq!(args("--crate core x").option("--crate").unwrap(), Some("core".to_owned()));
        assert_eq!(args("x --crate=core").option("--crate").unwrap(), Some("core".to_owned()));
        assert_eq!(args("x").option("--crate").unwrap(), None);
    }

    #[test]
    fn an_option_without_value_is_a_usage_failure() {
        assert_eq!(args("--crate").option("--crate").unwrap_err().status(), crate::failure::USAGE);
    }

    #[test]
    fn words_that_are_left_are_refused() {
        let mut words = args("--no-test --frob");
        assert!(words.flag("--no-test"));
        assert!(!words.flag("--no-test"));
        assert!(words.finish().is_err());
        assert!(args("a --frob").operands().is_err());
        assert_eq!(args("a b").operands().unwrap(), ["a", "b"]);
    }
}
