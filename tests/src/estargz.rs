//! A reader of eStargz that shares no code with ours. It checks every byte of a blob against the published format.
//!
//! <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>

use std::collections::BTreeMap;
use std::io::Read;

use async_compression::tokio::bufread::GzipDecoder;
use cache_core::{Descriptor, Digest, annotation};
use serde_json::Value;
use tokio::io::AsyncReadExt;

/// The footer's length.
const FOOTER: usize = 51;

/// A blob that follows all rules.
#[derive(Debug, Clone)]
pub struct Estargz {
    /// The original tar stream.
    pub payload: Vec<u8>,
    /// The table of contents as it was written.
    pub json: String,
    /// Its entries.
    pub entries: Vec<Value>,
}

impl Estargz {
    /// The table of contents without fields that depend on the compressor.
    #[must_use]
    pub fn without_offsets(&self) -> String {
        let is_kept = |line: &&str| !line.trim_start().starts_with("\"offset\": ");
        self.json.lines().filter(is_kept).collect::<Vec<_>>().join("\n")
    }
}

/// Reads a blob and checks all of it; the error names the broken rule.
///
/// # Errors
/// If a rule is broken.
pub async fn read(blob: &Descriptor, bytes: &[u8]) -> Result<Estargz, String> {
    let toc_offset = footer(bytes)?;
    let members = members(bytes).await?;
    let at_toc = members.get(&toc_offset).ok_or("the footer does not point to a member")?;
    let last = members.last_key_value().ok_or("there is no member")?;
    require(*last.0 == bytes.len() - FOOTER && last.1.is_empty(), "the footer is not an empty member")?;
    require(members.range(toc_offset..).count() == 2, "the table of contents is not the last member")?;

    let json = toc(at_toc)?;
    let toc: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    require(toc["version"] == 1, "the version is not 1")?;
    let entries = toc["entries"].as_array().cloned().unwrap_or_default();

    let stream: Vec<u8> = members.values().flatten().copied().collect();
    check_descriptor(blob, bytes, &json, &stream)?;
    check_contents(&entries, &members)?;
    let payload: Vec<u8> = members.range(..toc_offset).flat_map(|(_, content)| content).copied().collect();
    check_entries(&entries, &payload)?;
    Ok(Estargz { payload, json, entries })
}

fn footer(bytes: &[u8]) -> Result<usize, String> {
    let start = bytes.len().checked_sub(FOOTER).ok_or("the blob is too short for a footer")?;
    let digits = bytes.get(start + 16..start + 32).ok_or("the blob is too short for a footer")?;
    let digits = std::str::from_utf8(digits).map_err(|error| error.to_string())?;
    let offset = usize::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
    let mut expected = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0".to_vec();
    expected.extend_from_slice(format!("{offset:016x}STARGZ").as_bytes());
    expected.extend_from_slice(b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0");
    require(bytes[start..] == expected, "the footer has another form")?;
    Ok(offset)
}

/// The content of each gzip member, by the member's offset.
async fn members(bytes: &[u8]) -> Result<BTreeMap<usize, Vec<u8>>, String> {
    let (mut members, mut rest) = (BTreeMap::new(), bytes);
    while !rest.is_empty() {
        let start = bytes.len() - rest.len();
        let (mut decoder, mut content) = (GzipDecoder::new(rest), Vec::new());
        decoder.read_to_end(&mut content).await.map_err(|error| format!("the member at {start}: {error}"))?;
        rest = decoder.into_inner();
        members.insert(start, content);
    }
    Ok(members)
}

/// The member of the table of contents is an archive of one file.
fn toc(member: &[u8]) -> Result<String, String> {
    let mut archive = tar::Archive::new(member);
    let mut entries = archive.entries().map_err(|error| error.to_string())?;
    let mut entry = entries.next().ok_or("the table of contents is empty")?.map_err(|error| error.to_string())?;
    require(entry.path_bytes().as_ref() == b"stargz.index.json", "the table of contents has another name")?;
    let mut json = String::new();
    entry.read_to_string(&mut json).map_err(|error| error.to_string())?;
    require(member.len() == 512 + json.len().next_multiple_of(512) + 1024, "the archive has another length")?;
    require(entries.next().is_none(), "there is more than the table of contents")?;
    Ok(json)
}

fn check_descriptor(blob: &Descriptor, bytes: &[u8], json: &str, stream: &[u8]) -> Result<(), String> {
    let says = |key: &str, value: String| require(blob.annotations.get(key) == Some(&value), key);
    require((blob.digest, blob.size) == (Digest::sha256(bytes), bytes.len() as u64), "digest or size are wrong")?;
    says(annotation::ESTARGZ_TOC, Digest::sha256(json.as_bytes()).to_string())?;
    says(annotation::ESTARGZ_SIZE, stream.len().to_string())?;
    says(annotation::UNCOMPRESSED, Digest::sha256(stream).to_string())
}

/// Each chunk starts a member and has the right digest, and so has each file.
fn check_contents(entries: &[Value], members: &BTreeMap<usize, Vec<u8>>) -> Result<(), String> {
    let mut file: Option<(&Value, Vec<u8>)> = None;
    for entry in entries {
        if entry["type"] != "chunk" {
            check_file(file.take())?;
        }
        if entry["type"] == "reg" {
            file = Some((entry, Vec::new()));
        }
        let Some((of, content)) = file.as_mut().filter(|(of, _)| number(of, "size") > 0) else { continue };
        require(number(entry, "chunkOffset") == content.len(), "a chunk is not where it should be")?;
        let size = match number(entry, "chunkSize") {
            0 => number(of, "size") - content.len(),
            size => size,
        };
        let member = members.get(&number(entry, "offset")).ok_or("a chunk does not start a member")?;
        let chunk = member.get(..size).ok_or("a member is shorter than its chunk")?;
        require(size <= 4 << 20, "a chunk is too large")?;
        require(entry["chunkDigest"] == Digest::sha256(chunk).to_string(), "a chunk has another digest")?;
        content.extend_from_slice(chunk);
    }
    check_file(file)
}

fn check_file(file: Option<(&Value, Vec<u8>)>) -> Result<(), String> {
    let Some((entry, content)) = file else { return Ok(()) };
    require(number(entry, "size") == content.len(), "the chunks of a file are not all of it")?;
    require(entry["digest"] == Digest::sha256(&content).to_string(), "a file has another digest")
}

/// The entries of the table agree with the headers of the tar.
fn check_entries(entries: &[Value], payload: &[u8]) -> Result<(), String> {
    let mut archive = tar::Archive::new(payload);
    let mut found = archive.entries().map_err(|error| error.to_string())?;
    for entry in entries.iter().filter(|entry| entry["type"] != "chunk") {
        let mut found = found.next().ok_or("an entry has no header")?.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let header = found.header();
        let kind = match header.entry_type() {
            tar::EntryType::Regular => "reg",
            tar::EntryType::Directory => "dir",
            tar::EntryType::Symlink => "symlink",
            tar::EntryType::Link => "hardlink",
            tar::EntryType::Char => "char",
            tar::EntryType::Block => "block",
            tar::EntryType::Fifo => "fifo",
            other => return Err(format!("an entry of type {other:?}")),
        };
        require(entry["type"] == kind, "an entry is of another kind")?;
        require(entry["name"] == text(&found.path_bytes()), "an entry has another name")?;
        require(number(entry, "mode") == header.mode().unwrap_or_default() as usize, "an entry has another mode")?;
        let link = found.link_name_bytes().map(|link| text(&link)).filter(|_| kind.ends_with("link"));
        require(entry["linkName"].as_str().map(str::to_owned) == link, "a link has another target")?;
        let mut content = Vec::new();
        found.read_to_end(&mut content).map_err(|error| error.to_string())?;
        let digest = (kind == "reg").then(|| Digest::sha256(&content).to_string());
        require(entry["digest"].as_str().map(str::to_owned) == digest, "an entry has another content")?;
    }
    require(found.next().is_none(), "a header has no entry")
}

fn number(entry: &Value, field: &str) -> usize {
    entry[field].as_u64().unwrap_or_default() as usize
}

fn require(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}
