//! [`Bounds`]: limits on what a server sends, in bytes and time.

/// The most that is read from a server. Documents have limits of their own ([`Limits`](cache_core::model::Limits)), and
/// the length of a blob is in its descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Bytes of an error's body that are read; the rest is left out.
    pub error_body: u64,
    /// Bytes of any other answer: a page of a list, a token, the answer to a write.
    pub answer: u64,
    /// Pages of one list.
    pub list_pages: usize,
    /// Bytes of one list, over all of its pages.
    pub list_bytes: u64,
    /// Pages of one list in a row that are empty.
    pub empty_pages: usize,
    /// A body with fewer bytes per second is an error. The rate is measured over the time that a server may be silent.
    pub slowest: u64,
}

impl Default for Bounds {
    /// 64 KiB of an error, 32 MiB of another answer, 10,000 pages and 1 GiB of a list, 1,000 empty pages in a row,
    /// and 1 KiB a second.
    fn default() -> Self {
        Self {
            error_body: 64 << 10,
            answer: 32 << 20,
            list_pages: 10_000,
            list_bytes: 1 << 30,
            empty_pages: 1_000,
            slowest: 1 << 10,
        }
    }
}
