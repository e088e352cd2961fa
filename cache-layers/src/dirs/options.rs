//! [`TreeOptions`]: the times and the owner of files in a layer.

/// Which times and owners the files of a layer get.
///
/// By default they are those of the files in the directory, which is not reproducible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TreeOptions {
    /// Later times of files are set to this one: seconds since 1970, as in `SOURCE_DATE_EPOCH`
    /// (<https://reproducible-builds.org/specs/source-date-epoch/>). The environment is not read.
    pub(crate) source_date_epoch: Option<i64>,
    /// The owner of all files: user and group.
    pub(crate) owner: Option<(u32, u32)>,
}

impl TreeOptions {
    /// Sets the latest time that a file may have.
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
