//! [`Shard`]: a part of the blobs of a cache, for work that is spread over machines.

use std::fmt;
use std::str::FromStr;

use cache_core::{Digest, Error, ErrorKind};

/// The most parts.
const MOST: u16 = 1_000;

/// One part of all blobs. Each blob is in exactly one part, by its digest, whatever cache it is in.
///
/// ```
/// use cache_ops::Shard;
///
/// let shard: Shard = "2/3".parse()?;
/// assert_eq!((shard.number(), shard.of()), (2, 3));
/// assert!("4/3".parse::<Shard>().is_err());
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    number: u16,
    of: u16,
}

impl Shard {
    /// All blobs.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// The part `number`, from 1 on, of `of`; at most 1,000 of them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a number out of this range.
    pub fn new(number: u16, of: u16) -> Result<Self, Error> {
        if (1..=of).contains(&number) && of <= MOST {
            return Ok(Self { number, of });
        }
        Err(invalid().with("shard", format!("{number}/{of}")))
    }

    /// Which part it is, from 1 on.
    #[must_use]
    pub fn number(self) -> u16 {
        self.number
    }

    /// How many parts there are.
    #[must_use]
    pub fn of(self) -> u16 {
        self.of
    }

    /// Whether a blob is in this part.
    #[must_use]
    pub fn has(self, blob: &Digest) -> bool {
        // A digest is as good as random in each of its places.
        let first = blob.hex().get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0);
        first % u32::from(self.of.max(1)) == u32::from(self.number.saturating_sub(1))
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let (number, of) = numbers.ok_or_else(invalid)?;
        Self::new(number, of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidSpec, "a shard is K/N, with K from 1 to N, and N at most 1000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blob_is_in_one_shard_and_all_shards_have_some() {
        for of in [1, 3, 16] {
            let shards: Vec<Shard> = (1..=of).map(|number| Shard::new(number, of).unwrap()).collect();
            let mut counts = vec![0; usize::from(of)];
            for number in 0..1_000_u32 {
                let blob = Digest::sha256(&number.to_le_bytes());
                let at: Vec<usize> = (0..shards.len()).filter(|&at| shards[at].has(&blob)).collect();
                assert_eq!(at.len(), 1);
                counts[at[0]] += 1;
            }
            assert!(counts.iter().all(|&count| count > 1_000 / usize::from(of) / 2), "{counts:?}");
        }
    }

    #[test]
    fn invalid_shards_are_refused() {
        for text in ["", "1", "0/3", "4/3", "a/b", "1/1001", "-1/2", "1/2/3"] {
            assert_eq!(text.parse::<Shard>().unwrap_err().kind(), ErrorKind::InvalidSpec, "{text}");
        }
        assert_eq!("12/1000".parse::<Shard>().unwrap().to_string(), "12/1000");
    }

    #[test]
    fn an_error_names_only_numbers_that_were_given() {
        let shard = |text: &str| text.parse::<Shard>().unwrap_err().context("shard").map(str::to_owned);
        assert_eq!((shard("4/3").as_deref(), shard("2")), (Some("4/3"), None));
    }
}
