//! Content digests: valid by construction, `Copy`, ordered like their text.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::json;

/// A content digest as the OCI image spec defines it (`sha256:<hex>`).
///
/// The three registered algorithms of the Go library that BuildKit uses are accepted: sha256, sha384 and sha512.
/// Digests order as their text does.
///
/// ```
/// use cache_core::Digest;
///
/// let digest = Digest::sha256(b"a");
/// assert_eq!(digest.to_string(), "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// assert!("sha256:CA97".parse::<Digest>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Repr);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Sha256([u8; 32]),
    Sha384([u8; 48]),
    Sha512([u8; 64]),
}

/// The digest of a layer's uncompressed tar stream (`rootfs.diff_ids` in the OCI image spec).
///
/// BuildKit keeps it in the annotation `containerd.io/uncompressed`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiffId(pub Digest);

/// The text is not a digest that BuildKit accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidDigest(String);

impl std::error::Error for InvalidDigest {}

impl fmt::Display for InvalidDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid digest {:?}; expected sha256:, sha384: or sha512: and lower-case hex", self.0)
    }
}

impl Digest {
    /// A digest that no blob has.
    pub(crate) const OF_NOTHING: Self = Self(Repr::Sha256([0; 32]));

    /// Hashes `bytes` with sha256, the algorithm BuildKit writes.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self(Repr::Sha256(Sha256::digest(bytes).into()))
    }

    /// The algorithm's name, the part before the colon.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.0 {
            Repr::Sha256(_) => "sha256",
            Repr::Sha384(_) => "sha384",
            Repr::Sha512(_) => "sha512",
        }
    }

    /// The lower-case hex, the part after the colon.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut text = [0; TEXT];
        String::from_utf8_lossy(write_hex(&mut text, self.as_bytes())).into_owned()
    }

    /// The raw hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Sha256(hash) => hash,
            Repr::Sha384(hash) => hash,
            Repr::Sha512(hash) => hash,
        }
    }

    /// Starts hashing with this digest's algorithm, to compare a stream with it.
    #[must_use]
    pub fn digester(&self) -> Digester {
        Digester(match self.0 {
            Repr::Sha256(_) => State::Sha256(Sha256::new()),
            Repr::Sha384(_) => State::Sha384(Sha384::new()),
            Repr::Sha512(_) => State::Sha512(Sha512::new()),
        })
    }

    /// Writes the text into `text`.
    fn write<'a>(&self, text: &'a mut [u8; TEXT]) -> &'a str {
        let (name, rest) = text.split_at_mut(PREFIX);
        name.copy_from_slice(self.algorithm().as_bytes());
        rest[0] = b':';
        let end = PREFIX + 1 + write_hex(&mut rest[1..], self.as_bytes()).len();
        str::from_utf8(&text[..end]).expect("hex is ASCII")
    }
}

/// Hashes a stream piece by piece.
#[derive(Debug, Clone)]
pub struct Digester(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Digester {
    /// Starts a sha256, the algorithm BuildKit writes.
    #[must_use]
    pub fn sha256() -> Self {
        Self(State::Sha256(Sha256::new()))
    }

    /// Hashes the next piece of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(match self.0 {
            State::Sha256(state) => Repr::Sha256(state.finalize().into()),
            State::Sha384(state) => Repr::Sha384(state.finalize().into()),
            State::Sha512(state) => Repr::Sha512(state.finalize().into()),
        })
    }
}

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once(':').and_then(|(algorithm, hex)| {
            Some(Self(match algorithm {
                "sha256" => Repr::Sha256(decode_hex(hex)?),
                "sha384" => Repr::Sha384(decode_hex(hex)?),
                "sha512" => Repr::Sha512(decode_hex(hex)?),
                _ => return None,
            }))
        });
        parsed.ok_or_else(|| InvalidDigest(shorten(text)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.write(&mut [0; TEXT]))
    }
}

debug_as_text!(Digest, DiffId);
serialize_as_text!(DiffId);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for DiffId {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl<'de> Deserialize<'de> for DiffId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Digest::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; TEXT]))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json::Text(text) = json::Text::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The longest text of a digest, and its part before the colon.
const TEXT: usize = 135;
const PREFIX: usize = 6;

fn decode_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0; N];
    let mut all = 0;
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
        all |= high | low;
        *byte = high << 4 | low & 15;
    }
    (all & NO_DIGIT == 0).then_some(out)
}

/// Marks bytes that are not digits in the table.
const NO_DIGIT: u8 = 0x80;
const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// The value of each byte as a digit. A branch for each would be guessed wrong half of the time.
const NIBBLES: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        table[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Writes `bytes` to the start of `text`, and returns what was written.
fn write_hex<'a>(text: &'a mut [u8], bytes: &[u8]) -> &'a [u8] {
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    &text[..bytes.len() * 2]
}

/// Text from outside is shortened and kept on one line in errors.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_the_order_of_the_text() {
        let mut digests: Vec<Digest> = ["b", "a", "c", "d"].iter().map(|s| Digest::sha256(s.as_bytes())).collect();
        digests.push(format!("sha512:{}", "0".repeat(128)).parse().unwrap());
        digests.push(format!("sha384:{}", "f".repeat(96)).parse().unwrap());
        let mut texts: Vec<String> = digests.iter().map(Digest::to_string).collect();
        digests.sort();
        texts.sort();
        assert_eq!(digests.iter().map(Digest::to_string).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn only_registered_algorithms_with_full_lower_case_hex_are_digests() {
        let hex = "a".repeat(64);
        assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
        for bad in [
            "",
            "sha256",
            "sha256:",
            &hex,
            &format!("sha256:{}", "A".repeat(64)),
            &format!("sha256:{}", "a".repeat(63)),
            &format!("sha256:{}", "a".repeat(65)),
            &format!("sha256:{}g", "a".repeat(63)),
            &format!("blake3:{hex}"),
            &format!("sha512:{hex}"),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digester_follows_the_algorithm_of_its_digest() {
        for digest in ["sha384", "sha512"].map(|name| {
            let length = if name == "sha384" { 96 } else { 128 };
            format!("{name}:{}", "0".repeat(length)).parse::<Digest>().unwrap()
        }) {
            assert_eq!(digest.digester().finish().algorithm(), digest.algorithm());
        }
    }
}
