//! [`TreeOptions`]: the times and the owner of files in a layer.

/// Which times and owners the files of a layer get.
///
/// By default everything is as it is in the directory, which is not reproducible: files are as old as their making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TreeOptions {
    /// Later times of files become this one: seconds since 1970, as `SOURCE_DATE_EPOCH` gives them
    /// (<https://reproducible-builds.org/specs/source-date-epoch/>). The environment is not read.
    pub source_date_epoch: Option<i64>,
    /// The owner of all files: user and group.
    pub owner: Option<(u32, u32)>,
}

impl TreeOptions {
    /// Changes the latest time that a file may have.
    #[must_use]
    pub fn with_source_date_epoch(self, seconds: i64) -> Self {
        Self { source_date_epoch: Some(seconds), ..self }
    }

    /// Sets the owner of all files.
    #[must_use]
    pub fn with_owner(self, user: u32, group: u32) -> Self {
        Self { owner: Some((user, group)), ..self }
    }
}
