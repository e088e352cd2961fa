//! Descriptors and media types.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

use crate::json::{self, go_fields, go_json, go_struct, take, take_size};
use crate::model::{Annotations, DiffId, Digest, Timestamp, annotation};

/// What a blob is: its media type, digest and size, as the OCI image spec defines a descriptor.
///
/// Equal descriptors encode to equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Descriptor {
    /// The media type.
    pub media_type: MediaType,
    /// The content's digest.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// Other places to fetch the blob from; BuildKit drops them on export.
    pub urls: Vec<String>,
    /// The annotations, ordered by key.
    pub annotations: Annotations,
    /// The platform of an image in an index.
    pub platform: Option<Box<Platform>>,
    /// The content itself (`data`), if the document has it and it matches the digest. It is not written again.
    pub data: Option<Box<[u8]>>,
}

/// The platform of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Platform {
    /// The processor, as Go names it.
    pub architecture: String,
    /// The operating system, as Go names it.
    pub os: String,
    /// The processor's variant, like `v8`.
    pub variant: String,
}

impl Descriptor {
    /// Makes a descriptor without annotations.
    #[must_use]
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::default(),
            platform: None,
            data: None,
        }
    }

    /// The descriptor of these bytes.
    #[must_use]
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// Adds an annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.annotations.insert(key.to_owned(), value.to_string());
        self
    }

    /// The digest of the uncompressed stream, when the annotation is there and is a digest.
    #[must_use]
    pub fn diff_id(&self) -> Option<DiffId> {
        self.annotations.get(annotation::UNCOMPRESSED)?.parse().ok()
    }

    /// When the layer was made, when the annotation is there and is a time.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.annotations.get(annotation::CREATED_AT)?.parse().ok()
    }
}

/// A descriptor as a document may hold it: without a digest it describes nothing.
#[derive(Default)]
pub(crate) struct WireDescriptor {
    media_type: MediaType,
    digest: Option<Digest>,
    size: u64,
    urls: Vec<String>,
    annotations: Annotations,
    platform: Option<Box<Platform>>,
    data: Option<String>,
}

impl WireDescriptor {
    pub(crate) fn into_descriptor(self) -> Option<Descriptor> {
        let (digest, size) = (self.digest?, self.size);
        Some(Descriptor {
            media_type: self.media_type,
            digest,
            size,
            urls: self.urls,
            annotations: self.annotations,
            platform: self.platform,
            data: self.data.and_then(|data| embedded(&data, &digest, size)),
        })
    }
}

/// The bytes of the field `data`, base64 as Go writes it, if they are those that the descriptor promises.
fn embedded(data: &str, digest: &Digest, size: u64) -> Option<Box<[u8]>> {
    let bytes = STANDARD.decode(data).ok().filter(|bytes| bytes.len() as u64 == size)?;
    let mut digester = digest.digester();
    digester.update(&bytes);
    (digester.finish() == *digest).then(|| bytes.into_boxed_slice())
}

go_struct!(WireDescriptor {
    "mediatype" => take(media_type),
    "digest" => take(digest),
    "size" => take_size(size),
    "urls" => take(urls),
    "annotations" => take(annotations),
    "platform" => take(platform),
    "data" => take(data),
});

go_fields!(Descriptor {
    "mediaType" => media_type unless MediaType::is_empty,
    "digest" => digest,
    "size" => size,
    "urls" => urls unless Vec::is_empty,
    "annotations" => annotations unless Annotations::is_empty,
    "platform" => platform unless Option::is_none,
});

go_json!(Platform {
    "architecture" => take(architecture),
    "os" => take(os),
    "variant" => take(variant) unless String::is_empty,
});

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireDescriptor::deserialize(deserializer)?;
        wire.into_descriptor().ok_or_else(|| serde::de::Error::custom("descriptor without a digest"))
    }
}

/// A media type; unknown ones are carried as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaType(Cow<'static, str>);

impl MediaType {
    /// BuildKit's cache config, the document that holds layers and records.
    pub const CACHE_CONFIG: Self = Self::known("application/vnd.buildkit.cacheconfig.v0");
    /// An OCI image manifest.
    pub const OCI_MANIFEST: Self = Self::known("application/vnd.oci.image.manifest.v1+json");
    /// An OCI image index.
    pub const OCI_INDEX: Self = Self::known("application/vnd.oci.image.index.v1+json");
    /// A Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: Self = Self::known("application/vnd.docker.distribution.manifest.v2+json");
    /// A Docker manifest list.
    pub const DOCKER_LIST: Self = Self::known("application/vnd.docker.distribution.manifest.list.v2+json");
    /// An OCI image config.
    pub const OCI_CONFIG: Self = Self::known("application/vnd.oci.image.config.v1+json");
    /// A plain tar layer.
    pub const OCI_LAYER: Self = Self::known("application/vnd.oci.image.layer.v1.tar");
    /// A gzip layer; also an eStargz layer.
    pub const OCI_LAYER_GZIP: Self = Self::known("application/vnd.oci.image.layer.v1.tar+gzip");
    /// A zstd layer.
    pub const OCI_LAYER_ZSTD: Self = Self::known("application/vnd.oci.image.layer.v1.tar+zstd");

    const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the document gave no media type.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is a manifest or an index of manifests, in the OCI's or Docker's name.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        [Self::OCI_MANIFEST, Self::OCI_INDEX, Self::DOCKER_MANIFEST, Self::DOCKER_LIST].contains(self)
    }

    /// The OCI name of a layer type; any other type as it is.
    ///
    /// Foreign and non-distributable layers become distributable ones, as BuildKit rewrites them before an export.
    #[must_use]
    pub fn to_oci(&self) -> Self {
        self.row().map_or_else(|| self.clone(), |row| Self::known(row.oci))
    }

    /// The Docker name of a layer type; any other type as it is.
    #[must_use]
    pub fn to_docker(&self) -> Self {
        self.row().map_or_else(|| self.clone(), |row| Self::known(row.docker))
    }

    /// How the blob is compressed, when this is a layer type that BuildKit can extract.
    #[must_use]
    pub fn layer_encoding(&self) -> Option<LayerEncoding> {
        self.row().map(|row| row.encoding)
    }

    /// The type of a layer of another encoding, in the same family: Docker's stay Docker's, all else becomes OCI's.
    #[must_use]
    pub fn with_layer_encoding(&self, encoding: LayerEncoding) -> Self {
        let is_docker = LAYERS.iter().any(|row| row.docker == self.0);
        let row = LAYERS.iter().find(|row| row.encoding == encoding);
        row.map_or_else(|| self.clone(), |row| Self::known(if is_docker { row.docker } else { row.oci }))
    }

    fn row(&self) -> Option<&'static LayerRow> {
        let name = self.as_str();
        LAYERS.iter().find(|row| row.oci == name || row.docker == name || row.nondistributable.contains(&name))
    }
}

/// The compression that a layer's media type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerEncoding {
    /// A plain tar.
    Uncompressed,
    /// gzip, with or without the table of contents of eStargz.
    Gzip,
    /// zstd.
    Zstd,
}

impl LayerEncoding {
    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uncompressed => "a plain tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

struct LayerRow {
    encoding: LayerEncoding,
    oci: &'static str,
    docker: &'static str,
    nondistributable: &'static [&'static str],
}

const LAYERS: &[LayerRow] = &[
    LayerRow {
        encoding: LayerEncoding::Uncompressed,
        oci: "application/vnd.oci.image.layer.v1.tar",
        docker: "application/vnd.docker.image.rootfs.diff.tar",
        nondistributable: &[
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
        ],
    },
    LayerRow {
        encoding: LayerEncoding::Gzip,
        oci: "application/vnd.oci.image.layer.v1.tar+gzip",
        docker: "application/vnd.docker.image.rootfs.diff.tar.gzip",
        nondistributable: &[
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ],
    },
    LayerRow {
        encoding: LayerEncoding::Zstd,
        oci: "application/vnd.oci.image.layer.v1.tar+zstd",
        docker: "application/vnd.docker.image.rootfs.diff.tar.zstd",
        nondistributable: &["application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"],
    },
];

impl From<&'static str> for MediaType {
    fn from(name: &'static str) -> Self {
        Self::known(name)
    }
}

impl From<String> for MediaType {
    /// A layer's type, which most descriptors have, needs no memory of its own.
    fn from(name: String) -> Self {
        known_layer(&name).unwrap_or(Self(Cow::Owned(name)))
    }
}

fn known_layer(name: &str) -> Option<MediaType> {
    LAYERS.iter().flat_map(|row| [row.oci, row.docker]).find(|known| *known == name).map(MediaType::known)
}

debug_as_text!(MediaType);
serialize_as_text!(MediaType);

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json::Text(name) = json::Text::deserialize(deserializer)?;
        Ok(known_layer(&name).unwrap_or_else(|| Self(Cow::Owned(name.into_owned()))))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_data_counts_only_if_it_is_the_content() {
        let read = |data: &str| {
            let digest = Digest::sha256(b"hello");
            let text = format!(r#"{{"mediaType":"m","digest":"{digest}","size":5,"Data":{data}}}"#);
            serde_json::from_str::<Descriptor>(&text).unwrap()
        };
        let found = read(r#""aGVsbG8=""#);
        assert_eq!(found.data.as_deref(), Some(&b"hello"[..]));
        assert!(!serde_json::to_string(&found).unwrap().contains("data"));
        for other in [r#""aGVsbG9v""#, r#""aGVsbGE=""#, r#""?""#, r#""""#, "null"] {
            assert_eq!(read(other).data, None, "{other}");
        }
    }

    #[test]
    fn layer_types_translate_both_ways_and_others_pass() {
        let pairs = [
            ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"),
            ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
            ("application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.docker.image.rootfs.diff.tar.zstd"),
        ];
        for (oci, docker) in pairs {
            assert_eq!(MediaType::from(oci).to_docker().as_str(), docker);
            assert_eq!(MediaType::from(docker).to_oci().as_str(), oci);
            assert_eq!(MediaType::from(oci).to_oci().as_str(), oci);
        }
        let foreign = MediaType::from("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        assert_eq!(foreign.to_oci(), MediaType::OCI_LAYER_GZIP);
        let unknown = MediaType::from("application/x-own");
        assert_eq!((unknown.to_oci(), unknown.to_docker()), (unknown.clone(), unknown.clone()));
        assert_eq!(unknown.layer_encoding(), None);
    }

    /// The four media types of the [OCI](https://github.com/opencontainers/image-spec/blob/main/media-types.md) and
    /// Docker that have descriptors of manifests or layers in them.
    #[test]
    fn manifests_are_told_from_configs_and_layers() {
        for name in [
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ] {
            assert!(MediaType::from(name).is_manifest(), "{name}");
        }
        for other in [MediaType::CACHE_CONFIG, MediaType::OCI_CONFIG, MediaType::OCI_LAYER, MediaType::default()] {
            assert!(!other.is_manifest(), "{other}");
        }
    }

    #[test]
    fn a_descriptor_encodes_in_the_order_of_go() {
        let descriptor = Descriptor::of(MediaType::OCI_LAYER, b"a").with_annotation("b", 1).with_annotation("a", "<");
        let json = String::from_utf8(json::to_vec(&descriptor).unwrap()).unwrap();
        assert_eq!(
            json,
            "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:ca978112ca1bbdcafac231b39a23dc4d\
             a786eff8147c4e72b9807785afee48bb\",\"size\":1,\"annotations\":{\"a\":\"\\u003c\",\"b\":\"1\"}}"
        );
        assert_eq!(serde_json::from_str::<Descriptor>(&json).unwrap(), descriptor);
    }
}
