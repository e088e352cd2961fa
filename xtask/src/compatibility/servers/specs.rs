//! The specs of caches in each store, and the environment variables that go with them.

use std::process::Command;

use super::Place;
use super::commands::emulator_script;
use crate::process;
use crate::servers::S3_STORE_KEYS;

/// Azurite's account, whose key is public.
const AZURITE: &str = "account_name=devstoreaccount1,secret_access_key=\
                       Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub(super) fn registry(place: &Place, name: &str) -> String {
    format!("type=registry,ref={}/team/cache:{name}", place.host())
}

pub(super) fn s3(place: &Place, name: &str) -> String {
    s3_of(place, name, "access_key_id=AKIATESTING,secret_access_key=testing-1")
}

/// The keys of the store of the tests.
pub(super) fn s3s(place: &Place, name: &str) -> String {
    s3_of(place, name, S3_STORE_KEYS)
}

pub(super) fn s3rver(place: &Place, name: &str) -> String {
    s3_of(place, name, "access_key_id=S3RVER,secret_access_key=S3RVER")
}

fn s3_of(place: &Place, name: &str, keys: &str) -> String {
    let host = place.host();
    format!("type=s3,bucket=team,region=us-east-1,endpoint_url=http://{host},use_path_style=true,{keys},name={name}")
}

pub(super) fn azurite(place: &Place, name: &str) -> String {
    format!("type=azblob,account_url=http://{}/devstoreaccount1,{AZURITE},name={name}", place.host())
}

/// Without a key, so that the token is used.
pub(super) fn azurite_oauth(place: &Place, name: &str) -> String {
    format!("type=azblob,account_url=https://{}/devstoreaccount1,name={name}", place.host())
}

/// The variables for the token and the CA.
pub(super) fn azurite_oauth_variables(place: &Place) -> Vec<(&'static str, String)> {
    let file = |name: &str| place.folder.join(name).display().to_string();
    let path = format!("{}:{}", file("bin"), std::env::var("PATH").unwrap_or_default());
    vec![
        ("SSL_CERT_FILE", file("ca.crt")),
        ("AZURE_TOKEN_CREDENTIALS", "AzureCLICredential".to_owned()),
        ("PATH", path),
    ]
}

pub(super) fn emulator_v1(place: &Place, name: &str) -> String {
    emulator(place, name, "version=1,url")
}

pub(super) fn emulator_v2(place: &Place, name: &str) -> String {
    emulator(place, name, "version=2,url_v2")
}

fn emulator(place: &Place, name: &str, url: &str) -> String {
    let mut mint = Command::new("python3");
    mint.args([&emulator_script(), "token", "--scope", "refs/heads/main=3"]);
    // Without a token the spec is refused, which the table then shows.
    let token = process::output(&mut mint).unwrap_or_default();
    let (host, token) = (place.host(), token.trim());
    format!("type=gha,{url}=http://{host}/,token={token},repository=o/r,ghtoken=x,scope={name}")
}

/// GitHub's REST API is on the same host.
pub(super) fn emulator_variables(place: &Place) -> Vec<(&'static str, String)> {
    vec![("GITHUB_API_URL", format!("http://{}", place.host()))]
}

/// The token of the job, and the URL, into which act puts a secret.
pub(super) fn act(place: &Place, name: &str) -> String {
    let (url, token) = (place.said("url").unwrap_or_default(), place.folder.join("token"));
    format!("type=gha,url={url},token=@{},scope={name}", token.display())
}
