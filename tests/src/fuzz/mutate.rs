//! Seeded mutations: bytes, tokens and pieces of other inputs.

use super::MAX_INPUT;
use crate::random::Random;

/// Tokens that parsers look for or fail on.
const WORDS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "[[]]",
    "[null]",
    "\"\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "-1",
    "0",
    "1",
    "-0",
    "1e9",
    "0.5",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "\"layers\"",
    "\"records\"",
    "\"inputs\"",
    "\"chains\"",
    "\"link\"",
    "\"parent\"",
    "\"LAYERS\"",
    "\"selector\"",
    "\"digest\"",
    "\"config\"",
    "\"manifests\"",
    "\"mediaType\"",
    "\"random:x\"",
    "sha256:",
    "sha512:",
    "random:",
    "application/vnd.buildkit.cacheconfig.v0",
    "application/vnd.oci.image.index.v1+json",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999-23:59",
    "0000-01-01T00:00:00+23:59",
    "type=",
    "=",
    ",,",
    "\n",
    "\r\n",
    " ",
    "\u{17f}",
    "\u{feff}",
    "\u{2028}",
    "h",
    "ns",
    ".",
    "+",
    "\0",
];

/// Makes a new input from the seeds, of which there is at least one.
pub(super) fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(seeds).clone();
    for _ in 0..1 + random.below(6) {
        change(random, &mut input, seeds);
    }
    input.truncate(MAX_INPUT);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    match random.below(9) {
        0 => flip(random, input, at),
        1 => input.truncate(at),
        2 => replace(input, at, 0, random.pick(WORDS).as_bytes()),
        3 => replace(input, at, random.below(20), &[]),
        4 => replace(input, at, 0, &random.number().to_le_bytes()[..1 + at % 4]),
        5 => number(random, input, at),
        6 => {
            let piece = piece(random, input);
            replace(input, at, 0, &piece);
        }
        7 => {
            let other = random.pick(seeds);
            let piece = piece(random, other);
            replace(input, at, piece.len(), &piece);
        }
        _ => {
            let word = *random.pick(WORDS);
            replace(input, at, word.len(), word.as_bytes());
        }
    }
}

fn flip(random: &mut Random, input: &mut [u8], at: usize) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// Replaces the next number after `at`.
fn number(random: &mut Random, input: &mut Vec<u8>, at: usize) {
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    let Some(start) = input[at..].iter().position(is_number).map(|start| at + start) else { return };
    let len = input[start..].iter().take_while(|byte| is_number(byte)).count();
    let small = (random.below(12) as i64 - 2).to_string();
    let numbers = [small.as_str(), "-9223372036854775808", "9223372036854775807", "18446744073709551615", "4294967296"];
    replace(input, start, len, random.pick(&numbers).as_bytes());
}

/// A part of the input, usually a small one.
fn piece(random: &mut Random, input: &[u8]) -> Vec<u8> {
    let start = random.below(input.len() + 1);
    let most = if random.is_one_in(8) { input.len() } else { 200 };
    let len = random.below(most.min(input.len() - start) + 1);
    input[start..start + len].to_vec()
}

fn replace(input: &mut Vec<u8>, at: usize, len: usize, with: &[u8]) {
    let end = (at + len).min(input.len());
    input.splice(at..end, with.iter().copied());
}
