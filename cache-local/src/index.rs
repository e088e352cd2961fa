//! The model of `index.json`: its entries, kept as they are, and BuildKit's rules for finding and replacing one.

use std::collections::{BTreeMap, HashMap};

use cache_core::json::JsonObject;
use cache_core::model::Annotations;
use cache_core::{Descriptor, Digest, Error, ErrorKind, MediaType, Result, Version, annotation};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::{RawValue, to_raw_value};

/// The default tag.
pub(crate) const DEFAULT_TAG: &str = "latest";
/// The annotation with the full name that containerd gives to an entry.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// An image index; entries and fields that mean nothing here are kept as they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    schema_version: i64,
    media_type: String,
    entries: Vec<Entry>,
    /// The other fields, as JSON.
    others: BTreeMap<String, Box<RawValue>>,
    is_changed: bool,
}

/// An entry of an index.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// As it was found.
    json: Box<RawValue>,
    /// `None` for an entry that is only kept: without a digest, or with one of an unknown algorithm.
    descriptor: Option<Descriptor>,
    ref_name: String,
    image_name: String,
}

impl Index {
    /// Decodes a file's content; an empty file has no entries, as BuildKit reads it before it writes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        Self::decode_json(bytes)
            .map_err(|error| Error::new(ErrorKind::InvalidManifest, "index.json cannot be read").with_source(error))
    }

    fn decode_json(bytes: &[u8]) -> serde_json::Result<Self> {
        let fields: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_slice(bytes)?;
        let mut index = Self::default();
        for (name, value) in fields.into_iter().flatten() {
            // Go matches names without regard to case.
            match name.to_ascii_lowercase().as_str() {
                "schemaversion" => index.schema_version = or_zero(&value)?,
                "mediatype" => index.media_type = or_zero(&value)?,
                "manifests" => {
                    let entries: Vec<Box<RawValue>> = or_zero(&value)?;
                    index.entries = entries.into_iter().map(Entry::decode).collect::<serde_json::Result<_>>()?;
                }
                _ => {
                    index.others.insert(name, value);
                }
            }
        }
        Ok(index)
    }

    /// Encodes the index as Go does: compact, with what BuildKit fills in.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut index = JsonObject::default();
        index.set("schemaVersion", &if self.schema_version == 0 { 2 } else { self.schema_version });
        let default = MediaType::OCI_INDEX;
        index.set("mediaType", &if self.media_type.is_empty() { default.as_str() } else { &self.media_type });
        index.set("manifests", &self.entries.iter().map(|entry| &entry.json).collect::<Vec<_>>());
        self.others.iter().for_each(|(name, value)| index.set(name, value));
        index.encode()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry for `tag`: containerd's image name counts before the tag, as in BuildKit.
    ///
    /// For the empty tag, the first entry that it would replace.
    pub(crate) fn find(&self, tag: &str) -> Option<&Entry> {
        if tag.is_empty() {
            return self.entries.iter().find(|entry| entry.is_replaced_by(tag));
        }
        let by_image = self.entries.iter().find(|entry| entry.image_name == tag);
        by_image.or_else(|| self.entries.iter().find(|entry| entry.ref_name == tag))
    }

    /// The entries, each with the name under which readers find it: none if only its digest leads to it.
    pub(crate) fn named(&self) -> Vec<(Option<&str>, &Entry)> {
        let (mut by_image, mut by_tag) = (HashMap::new(), HashMap::new());
        for (n, entry) in self.entries.iter().enumerate() {
            by_image.entry(entry.image_name.as_str()).or_insert(n);
            by_tag.entry(entry.ref_name.as_str()).or_insert(n);
        }
        let found = |name: &str| by_image.get(name).or_else(|| by_tag.get(name)).copied();
        let name = |(n, entry)| (Entry::names(entry).find(|name| found(name) == Some(n)), entry);
        self.entries.iter().enumerate().map(name).collect()
    }

    /// As [`named`](Self::named), without entries whose name leads to the same manifest by another entry.
    pub(crate) fn listed(&self) -> Vec<(Option<&str>, &Entry)> {
        let is_repeated = |entry: &Entry| {
            let leads_to_it = |name| self.find(name).is_some_and(|found| found.state() == entry.state());
            entry.names().any(leads_to_it)
        };
        let mut named = self.named();
        named.retain(|(name, entry)| name.is_some() || !is_repeated(entry));
        named
    }

    /// The entry when no tag is given: `latest`, or the only one if it has no name (an image).
    pub(crate) fn find_default(&self) -> Option<&Entry> {
        self.find(DEFAULT_TAG).or(match self.entries.as_slice() {
            [only] if !only.is_named() => Some(only),
            _ => None,
        })
    }

    /// The first entry of a manifest.
    pub(crate) fn find_digest(&self, manifest: &Digest) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.descriptor().is_some_and(|descriptor| descriptor.digest == *manifest))
    }

    /// Points `tag` to `manifest`: as the last entry, in place of those with this tag and no image name.
    ///
    /// # Errors
    /// As [`check_free`](Self::check_free).
    pub(crate) fn put(&mut self, tag: &str, manifest: &Descriptor) -> Result<()> {
        self.check_free(tag)?;
        self.entries.retain(|entry| !entry.is_replaced_by(tag));
        self.entries.push(Entry::new(tag, manifest));
        self.is_changed = true;
        Ok(())
    }

    /// Checks that readers would find the entry that [`put`](Self::put) adds.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when an image that containerd has named would hide it: BuildKit keeps such an entry, and
    /// its readers take the first with the tag.
    pub(crate) fn check_free(&self, tag: &str) -> Result<()> {
        let is_image = |entry: &&Entry| !entry.image_name.is_empty() && entry.names().any(|name| name == tag);
        let named = self.named().into_iter().find(|(_, entry)| is_image(entry));
        let Some((name, image)) = named else { return Ok(()) };
        let message = "an entry that containerd has named has this tag, and readers would find it instead of the cache";
        let error = Error::new(ErrorKind::Unsupported, message).with("tag", tag).with("image", &image.image_name);
        Err(match name {
            Some(name) => {
                error.with_hint(format!("give the cache another tag, or delete that entry: rm --any …,tag={name}"))
            }
            None => error.with_hint("give the cache another tag"),
        })
    }

    /// Points the entry that `select` finds to another manifest; returns whether there is one.
    ///
    /// The entry keeps its place and all fields that are not about the manifest.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] when the entry is not an object.
    pub(crate) fn replace(&mut self, select: impl Fn(&Self) -> Option<&Entry>, manifest: &Descriptor) -> Result<bool> {
        let Some(selected) = select(self) else { return Ok(false) };
        let entry = selected.leading_to(manifest)?;
        let at = self.entries.iter().position(|entry| std::ptr::eq(entry, selected));
        self.entries[at.expect("it was found among the entries")] = entry;
        self.is_changed = true;
        Ok(true)
    }

    /// Removes the entries of this version that have this name, or for no name those to which none leads; returns whether
    /// there was one.
    pub(crate) fn remove(&mut self, name: Option<&str>, state: &Version) -> bool {
        let is_named = |(found, entry): &(Option<&str>, &Entry)| match name {
            Some(name) => entry.names().any(|found| found == name),
            None => found.is_none(),
        };
        let is_kept = |named: &(Option<&str>, &Entry)| named.1.state() != *state || !is_named(named);
        let mut kept = self.named().iter().map(is_kept).collect::<Vec<_>>().into_iter();
        let before = self.entries.len();
        self.entries.retain(|_| kept.next().unwrap_or(true));
        let is_removed = self.entries.len() < before;
        self.is_changed |= is_removed;
        is_removed
    }

    /// Whether it is to be written.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }
}

impl Entry {
    fn new(tag: &str, manifest: &Descriptor) -> Self {
        let descriptor = manifest.clone().with_annotation(annotation::REF_NAME, tag);
        let json = to_raw_value(&descriptor).expect("a descriptor is plain data, which always encodes");
        Self { json, descriptor: Some(descriptor), ref_name: tag.to_owned(), image_name: String::new() }
    }

    fn decode(json: Box<RawValue>) -> serde_json::Result<Self> {
        let descriptor = serde_json::from_str::<Descriptor>(json.get()).ok();
        let mut annotations = match &descriptor {
            Some(descriptor) => descriptor.annotations.clone(),
            None => {
                let named = or_zero::<JsonObject>(&json)?.field::<Annotations>("annotations");
                named.map_err(serde_json::Error::custom)?.unwrap_or_default()
            }
        };
        let ref_name = annotations.remove(annotation::REF_NAME).unwrap_or_default();
        let image_name = annotations.remove(IMAGE_NAME).unwrap_or_default();
        Ok(Self { json, descriptor, ref_name, image_name })
    }

    /// The same entry for another manifest, without embedded content of the old one.
    fn leading_to(&self, manifest: &Descriptor) -> Result<Self> {
        let mut json = JsonObject::decode(self.json.get().as_bytes())?;
        let is_of_another_kind = self.descriptor.as_ref().is_none_or(|old| old.media_type != manifest.media_type);
        if is_of_another_kind {
            json.set("mediaType", &manifest.media_type);
        }
        json.set("digest", &manifest.digest);
        json.set("size", &manifest.size);
        json.remove("data");
        let json = to_raw_value(&json).expect("fields are JSON already");
        let led = |old: &Descriptor| {
            let Descriptor { media_type, digest, size, .. } = manifest.clone();
            Descriptor { media_type, digest, size, ..old.clone() }
        };
        let descriptor = self.descriptor.as_ref().map(led);
        Ok(Self { json, descriptor, ..self.clone() })
    }

    /// The tag and containerd's image name, as far as it has them.
    fn names(&self) -> impl Iterator<Item = &str> {
        [&self.ref_name, &self.image_name].into_iter().filter(|name| !name.is_empty()).map(String::as_str)
    }

    /// Whether it has a name, which may lead to another entry.
    pub(crate) fn is_named(&self) -> bool {
        self.names().next().is_some()
    }

    /// The entry's descriptor, if it can be decoded.
    pub(crate) fn descriptor(&self) -> Option<&Descriptor> {
        self.descriptor.as_ref()
    }

    /// The version of the place: the manifest's digest.
    pub(crate) fn state(&self) -> Version {
        match &self.descriptor {
            Some(descriptor) => Version::new(descriptor.digest.to_string()),
            None => Version::new(self.json.get()),
        }
    }

    /// BuildKit compares a missing annotation as the empty string, so the empty tag replaces every untagged entry.
    fn is_replaced_by(&self, tag: &str) -> bool {
        self.ref_name == tag && self.image_name.is_empty()
    }
}

/// Decodes a value; `null` is the zero value, as in Go.
fn or_zero<'a, T: Deserialize<'a> + Default>(json: &'a RawValue) -> serde_json::Result<T> {
    serde_json::from_str::<Option<T>>(json.get()).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests;
