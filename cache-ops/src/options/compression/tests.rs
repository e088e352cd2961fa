//! BuildKit's rules for the attributes, word for word, and the table of conversions.

use cache_core::{Descriptor, Digest, MediaType, annotation};

use super::*;
use crate::{Conversion, ExportOptions};

fn parsed(attributes: &str) -> Result<Option<Compression>> {
    let mut spec: CacheSpec = format!("type=local,dest=a,{attributes}").parse()?;
    ExportOptions::take(&mut spec).map(|options| options.compression)
}

fn message(attributes: &str) -> String {
    let error = parsed(attributes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSpec);
    error.to_string()
}

#[test]
fn absent_attributes_keep_layers_as_they_are() {
    assert_eq!(parsed("mode=max").unwrap(), None);
}

#[test]
fn a_level_or_force_alone_means_gzip() {
    let gzip = Compression::new(CompressionKind::Gzip);
    assert_eq!(parsed("compression-level=3").unwrap(), Some(gzip.with_level(3).unwrap()));
    assert_eq!(parsed("force-compression=true").unwrap(), Some(gzip.with_force(true)));
}

#[test]
fn an_empty_force_is_a_yes_and_others_are_booleans_of_go() {
    for (value, is_forced) in [("", true), ("1", true), ("True", true), ("0", false), ("F", false)] {
        assert_eq!(parsed(&format!("force-compression={value}")).unwrap().unwrap().is_forced(), is_forced, "{value}");
    }
}

#[test]
fn bad_values_fail_with_the_words_of_buildkit() {
    assert!(message("compression=brotli").starts_with("unsupported compression type brotli"));
    assert!(message("compression=").starts_with("unsupported compression type "));
    assert!(message("compression=GZIP").starts_with("unsupported compression type GZIP"));
    let force =
        "non-bool value yes specified for force-compression: strconv.ParseBool: parsing \"yes\": invalid syntax";
    assert!(message("force-compression=yes").starts_with(force));
    let level = "non-integer value x specified for compression-level: strconv.ParseInt: parsing \"x\": invalid syntax";
    assert!(message("compression-level=x").starts_with(level));
    assert!(message("compression-level=").contains("parsing \"\": invalid syntax"));
    let large = "non-integer value 9223372036854775808 specified for compression-level: strconv.ParseInt: parsing \
                 \"9223372036854775808\": value out of range";
    assert!(message("compression-level=9223372036854775808").starts_with(large));
}

#[test]
fn a_level_that_would_fail_late_is_refused_up_front() {
    for (kind, bad, good) in [
        ("gzip", ["-3", "10", "99"], ["-2", "0", "9"]),
        ("estargz", ["-3", "10", "4294967296"], ["-2", "0", "+9"]),
        ("zstd", ["-8", "23", "-9223372036854775808"], ["-7", "0", "22"]),
    ] {
        for level in bad {
            let message = message(&format!("compression={kind},compression-level={level}"));
            assert!(message.starts_with("invalid compression level"), "{message}");
        }
        for level in good {
            assert!(parsed(&format!("compression={kind},compression-level={level}")).is_ok(), "{kind} {level}");
        }
    }
    assert!(parsed("compression=uncompressed,compression-level=99").is_ok());
}

#[test]
fn names_parse_back() {
    for kind in CompressionKind::ALL {
        assert_eq!(kind.to_string().parse::<CompressionKind>().unwrap(), kind);
    }
}

/// A layer of the type, with a table of contents or without.
fn layer(media_type: &'static str, has_toc: bool) -> Descriptor {
    let layer = Descriptor::of(MediaType::from(media_type), b"layer");
    if has_toc { layer.with_annotation(annotation::ESTARGZ_TOC, Digest::sha256(b"toc")) } else { layer }
}

#[test]
fn a_forced_compression_converts_what_is_of_another_kind() {
    use CompressionKind::{Estargz, Gzip, Uncompressed, Zstd};
    let types = [
        ("application/vnd.oci.image.layer.v1.tar", false, vec![Uncompressed]),
        ("application/vnd.docker.image.rootfs.diff.tar", false, vec![Uncompressed]),
        ("application/vnd.oci.image.layer.v1.tar+gzip", false, vec![Gzip]),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", false, vec![Gzip]),
        ("application/vnd.oci.image.layer.v1.tar+gzip", true, vec![Estargz]),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", true, vec![Estargz]),
        ("application/vnd.oci.image.layer.v1.tar+zstd", false, vec![Zstd]),
        ("application/vnd.oci.image.config.v1+json", false, CompressionKind::ALL.to_vec()),
    ];
    for (media_type, has_toc, kept_by) in types {
        let layer = layer(media_type, has_toc);
        for kind in CompressionKind::ALL {
            let compression = Compression::new(kind).with_level(1).unwrap();
            assert!(!Conversion::new(compression).converts(&layer), "an unforced one converts nothing");
            let is_kept = kept_by.contains(&kind);
            assert_eq!(
                Conversion::new(compression.with_force(true)).converts(&layer),
                !is_kept,
                "{media_type} to {kind}"
            );
        }
    }
}
