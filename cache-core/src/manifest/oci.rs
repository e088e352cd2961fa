//! The three manifests that hold a cache in a registry or a directory, and how a document is told apart.

use serde::Deserialize;
use serde::de::MapAccess;

use super::ManifestForm;
use super::config::unreadable;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, go_fields, go_struct, take};
use crate::model::{Descriptor, MediaType, WireDescriptor};

/// A document that may hold a cache or an image.
pub(crate) struct Parsed {
    pub(crate) media_type: MediaType,
    pub(crate) shape: Shape,
}

/// The two shapes that the four manifest media types have.
pub(crate) enum Shape {
    Manifest { config: Option<Box<Descriptor>>, layers: Vec<Descriptor> },
    Index { manifests: Vec<Descriptor> },
}

impl Parsed {
    /// Tells a document's type from its body alone, as BuildKit does (HTTP's content type is not looked at).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let wire: WireDocument = json::from_slice(bytes).map_err(|error| unreadable("manifest", error))?;
        let has_manifest_shape = wire.config.is_some() || wire.layers.is_some();
        if has_manifest_shape && wire.manifests.is_some() {
            return Err(Error::new(ErrorKind::InvalidManifest, "invalid ambiguous manifest and manifest list"));
        }
        let inferred = if has_manifest_shape { MediaType::DOCKER_MANIFEST } else { MediaType::DOCKER_LIST };
        let media_type = match wire.media_type {
            Some(given) if given == MediaType::OCI_INDEX || given == MediaType::DOCKER_LIST => {
                agree(!has_manifest_shape, given)?
            }
            Some(given) if given == MediaType::OCI_MANIFEST || given == MediaType::DOCKER_MANIFEST => {
                agree(has_manifest_shape, given)?
            }
            _ => inferred,
        };
        let shape = if has_manifest_shape {
            let config = wire.config.flatten().and_then(WireDescriptor::into_descriptor).map(Box::new);
            Shape::Manifest { config, layers: wire.layers.flatten().unwrap_or_default() }
        } else {
            Shape::Index { manifests: wire.manifests.flatten().unwrap_or_default() }
        };
        Ok(Self { media_type, shape })
    }
}

fn agree(agrees: bool, given: MediaType) -> Result<MediaType> {
    if agrees {
        return Ok(given);
    }
    let message = "mediaType in manifest does not match manifest contents";
    Err(Error::new(ErrorKind::InvalidManifest, message).with("mediaType", given))
}

/// `Some(None)` is a key that is there with `null`, which counts as present.
#[derive(Default)]
struct WireDocument {
    media_type: Option<MediaType>,
    /// It may be the empty object: an image manifest without a config.
    config: Option<Option<WireDescriptor>>,
    layers: Option<Option<Vec<Descriptor>>>,
    manifests: Option<Option<Vec<Descriptor>>>,
}

go_struct!(WireDocument {
    "mediatype" => take(media_type),
    "config" => take_given(config),
    "layers" => take_given(layers),
    "manifests" => take_given(manifests),
});

/// Takes the next value, and keeps that it was given, also if it is `null`.
fn take_given<'de, T, A>(slot: &mut Option<Option<T>>, map: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    *slot = Some(map.next_value()?);
    Ok(())
}

/// A document as it is written.
struct Written<'a> {
    schema_version: u32,
    media_type: MediaType,
    config: Option<&'a Descriptor>,
    layers: Option<&'a [Descriptor]>,
    manifests: Option<Vec<&'a Descriptor>>,
}

go_fields!(Written<'_> {
    "schemaVersion" => schema_version,
    "mediaType" => media_type,
    "config" => config unless Option::is_none,
    "layers" => layers unless Option::is_none,
    "manifests" => manifests unless Option::is_none,
});

/// Encodes the document of `form` around a config and one descriptor per layer, in the layers' order.
pub(super) fn encode(form: ManifestForm, config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
    let mut out =
        Written { schema_version: 2, media_type: form.media_type(), config: None, layers: None, manifests: None };
    match form {
        ManifestForm::ImageManifest => (out.config, out.layers) = (Some(config), Some(layers)),
        ManifestForm::Index | ManifestForm::DockerList => out.manifests = Some(layers.iter().chain([config]).collect()),
    }
    json::to_vec(&out).expect("a manifest is plain data, which always encodes")
}
