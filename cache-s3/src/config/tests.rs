//! Attributes of specs.

use std::fs;

use cache_core::Error;

use super::*;

fn config(attributes: &str) -> Result<S3Config> {
    let spec: CacheSpec = format!("type=s3,{attributes}").parse().unwrap();
    S3Config::from_spec(&spec, Environment::new())
}

fn invalid(attributes: &str) -> Error {
    let error = config(attributes).expect_err(attributes);
    assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{attributes}: {error:?}");
    error
}

#[test]
fn defaults_are_those_of_buildkit() {
    let config = config("bucket=b,region=r").unwrap();
    assert_eq!((config.bucket(), config.region(), config.endpoint().map(Endpoint::as_str)), ("b", "r", None));
    assert_eq!((config.first_name(), config.other_names().count()), ("buildkit", 0));
    assert_eq!(config.keys().manifest("x"), "manifests/x");
    assert_eq!(config.touch_refresh, Duration::from_secs(86_400));
    assert!(!config.is_path_style() && !config.is_adaptive() && config.parallelism().is_none());
}

#[test]
fn every_attribute_is_read() {
    let text = "bucket=b,region=r,prefix=p/,manifests_prefix=m/,blobs_prefix=l/,name=a;b,touch_refresh=1h30m,\
        endpoint_url=http://h:1,use_path_style=T,access_key_id=id,secret_access_key=hush,session_token=psst,\
        upload_parallelism=7,disable_accept_encoding=1,retry_mode=adaptive,retry_max_attempts=9";
    let config = config(text).unwrap();
    assert_eq!(config.keys().manifest(config.first_name()), "p/m/a");
    assert_eq!(config.other_names().collect::<Vec<_>>(), ["b"]);
    assert_eq!(config.refresh_after(), Duration::from_secs(75 * 60));
    assert_eq!((config.endpoint().map(Endpoint::as_str), config.is_path_style()), (Some("http://h:1"), true));
    assert_eq!((config.parallelism(), config.is_adaptive()), (Some(7), true));
    assert_eq!(config.environment().tuning().retry().attempts(), 9);
    let credential = Credential::new("id", "hush").with_session_token("psst");
    assert_eq!(config.environment().credential(), Some(&credential));
    let shown = format!("{config:?}");
    assert!(!shown.contains("hush") && !shown.contains("psst"), "{shown}");
}

#[test]
fn a_bucket_and_a_region_are_required() {
    for (attributes, missing) in [("region=r", "bucket"), ("bucket=b", "region"), ("bucket=,region=r", "bucket")] {
        assert_eq!(invalid(attributes).context("attribute"), Some(missing));
    }
    assert!(invalid("region=r").hint().unwrap().contains("AWS_BUCKET"));
    let environment = Environment { bucket: Some("b".to_owned()), region: Some("r".to_owned()), ..Environment::new() };
    let config = S3Config::from_spec(&CacheSpec::new("s3").with("region", "mine"), environment).unwrap();
    assert_eq!((config.bucket(), config.region()), ("b", "mine"));
}

#[test]
fn bad_values_are_errors() {
    let values = [
        "touch_refresh=24",
        "use_path_style=maybe",
        "upload_parallelism=0",
        "upload_parallelism=four",
        "disable_accept_encoding=x",
        "retry_mode=fast",
        "retry_max_attempts=0",
        "access_key_id=id",
        "secret_access_key=hush",
        "session_token=psst",
        "secret_access_key=env:NO_SUCH_VARIABLE_HERE,access_key_id=id",
        "storage_class=x",
    ];
    for value in values {
        let error = invalid(&format!("bucket=b,region=r,{value}"));
        assert!(!format!("{error:?}").contains("hush") && !format!("{error:?}").contains("psst"), "{error:?}");
    }
}

#[test]
fn paths_are_for_other_servers_only() {
    assert!(!config("bucket=b,region=r,use_path_style=true").unwrap().is_path_style());
}

#[test]
fn a_secret_is_read_from_its_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "hush\r\n").unwrap();
    let attributes = format!("bucket=b,region=r,access_key_id=id,secret_access_key=@{}", file.path().display());
    let config = config(&attributes).unwrap();
    assert_eq!(config.environment().credential().unwrap().parts(), ("id", "hush", None));
    let error = config_error("bucket=b,region=r,access_key_id=id,secret_access_key=@/no/such/file");
    assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some("secret_access_key")));
}

fn config_error(attributes: &str) -> Error {
    config(attributes).unwrap_err()
}

#[test]
fn the_age_of_a_refresh_is_before_that_of_a_clean_up() {
    let after = |age| S3Config::new("b", "r", Environment::new()).with_touch_refresh(age).refresh_after();
    assert_eq!(after(Duration::from_secs(86_400)), Duration::from_secs(45_000));
    assert_eq!(after(Duration::ZERO), Duration::ZERO);
}
