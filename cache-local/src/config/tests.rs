//! What specs mean.

use super::*;

fn import(spec: &str) -> Result<LocalConfig> {
    LocalConfig::from_import_spec(&spec.parse().unwrap())
}

fn export(spec: &str) -> Result<LocalConfig> {
    LocalConfig::from_export_spec(&spec.parse().unwrap())
}

fn store(spec: &str) -> Result<LocalConfig> {
    LocalConfig::from_store_spec(&spec.parse().unwrap())
}

#[test]
fn src_and_dest_replace_each_other() {
    let config = LocalConfig::new("/c");
    assert_eq!(import("type=local,src=/c").unwrap(), config);
    assert_eq!(import("type=local,dest=/c").unwrap(), config);
    assert_eq!(export("type=local,dest=/c").unwrap(), config);
    assert_eq!(export("type=local,src=/c").unwrap(), config);
    assert_eq!(store("type=local,dest=/c").unwrap(), config);
    assert_eq!(import("type=local,src=/c,dest=/d").unwrap(), config);
    assert_eq!(export("type=local,src=/d,dest=/c").unwrap(), config);
}

#[test]
fn a_directory_is_required() {
    for (error, name) in [
        (import("type=local,tag=x").unwrap_err(), "src"),
        (import("type=local,src=").unwrap_err(), "src"),
        (export("type=local,ref=x").unwrap_err(), "dest"),
    ] {
        assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some(name)));
    }
}

#[test]
fn each_direction_has_its_own_attributes() {
    let digest = "digest=sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let unknown = |result: Result<LocalConfig>| result.unwrap_err().context("unknown").map(str::to_owned);
    assert!(import(&format!("type=local,src=/c,{digest}")).is_ok());
    assert!(store(&format!("type=local,src=/c,{digest}")).is_ok());
    assert_eq!(unknown(export(&format!("type=local,dest=/c,{digest}"))), Some("digest".to_owned()));
    assert_eq!(unknown(import("type=local,src=/c,reset=true")), Some("reset".to_owned()));
    assert_eq!(unknown(import("type=local,src=/c,image-manifest=true")), Some("image-manifest".to_owned()));
    assert_eq!(unknown(store("type=local,src=/c,reset=true")), Some("reset".to_owned()));
    assert_eq!(unknown(export("type=local,dest=/c,tga=x")), Some("tga".to_owned()));
}

#[test]
fn the_form_is_chosen_as_in_buildkit() {
    let form = |attributes: &str| export(&format!("type=local,dest=/c{attributes}")).map(|config| config.form());
    assert_eq!(form("").unwrap(), None);
    assert_eq!(form(",image-manifest=true").unwrap(), Some(ManifestForm::ImageManifest));
    assert_eq!(form(",image-manifest=F").unwrap(), Some(ManifestForm::Index));
    assert_eq!(form(",oci-mediatypes=0").unwrap(), Some(ManifestForm::DockerList));
    assert_eq!(form(",oci-mediatypes=0,image-manifest=1").unwrap_err().kind(), ErrorKind::InvalidSpec);
    assert_eq!(form(",image-manifest=").unwrap_err().kind(), ErrorKind::InvalidSpec);
}

#[test]
fn bad_values_are_refused() {
    assert_eq!(export("type=local,dest=/c,reset=yes").unwrap_err().context("attribute"), Some("reset"));
    assert_eq!(import("type=local,src=/c,digest=sha256:1").unwrap_err().context("attribute"), Some("digest"));
}

#[test]
fn an_empty_tag_is_one_on_export_and_needs_a_digest_on_import() {
    assert_eq!(export("type=local,dest=/c,tag=").unwrap().tag(), Some(""));
    assert_eq!(export("type=local,dest=/c").unwrap().tag(), None);
    let error = import("type=local,src=/c,tag=").unwrap_err();
    assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some("tag")));
    let digest = Digest::sha256(b"a");
    let config = import(&format!("type=local,src=/c,tag=,digest={digest}")).unwrap();
    assert_eq!(config.selection().unwrap(), Selection::Digest(digest));
}
