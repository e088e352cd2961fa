//! The connection to a store: credentials, endpoint, and settings of the SDK.

use std::path::{Path, PathBuf};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use cache_core::Result;

use super::authorities;
use super::capped::Caps;
use super::logged::Logged;
use super::profile;
use crate::{Environment, S3Config};

/// The user agent, beside the SDK's.
const APP_NAME: &str = concat!("buildcache-", env!("CARGO_PKG_VERSION"));

/// The SDK's client for one store.
pub(super) struct Connection {
    pub(super) sdk: aws_sdk_s3::Client,
    /// The endpoint, if it is not AWS.
    endpoint: Option<String>,
}

impl Connection {
    /// Reads the profile, the variables and the CAs if the environment is to be used; nothing is sent.
    pub(super) async fn open(config: &S3Config) -> Result<Self> {
        let http = authorities::client(ca_bundle(config.environment()).await?.as_deref())?;
        let region = Region::new(config.region().to_owned());
        let (mut builder, shared_endpoint) = if config.environment().uses_chain() {
            let loader = aws_config::defaults(behavior()).region(region.clone()).timeout_config(timeouts(config));
            let loader = loader.http_client(http.clone());
            let shared = loader.load().await;
            (Builder::from(&shared), shared.endpoint_url().map(str::to_owned))
        } else {
            (Builder::new(), None)
        };
        let endpoint = config.endpoint().or(config.environment().endpoint());
        let endpoint = endpoint.map(|endpoint| endpoint.as_str().to_owned()).or(shared_endpoint);
        builder = builder
            .behavior_version(behavior())
            .region(region)
            // Stores other than AWS fail on checksums that they did not ask for.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // A slow source is not a stalled stream; silent servers are found by our own timeouts.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts(config))
            .retry_config(retries(config))
            .force_path_style(config.is_path_style());
        builder.set_endpoint_url(endpoint.clone());
        builder.set_http_client(Some(http));
        builder = builder.interceptor(Caps(config.environment().tuning().bounds())).interceptor(Logged);
        builder.set_app_name(AppName::new(APP_NAME).ok());
        if let Some(credential) = config.environment().credential() {
            let (id, secret, token) = credential.parts();
            builder = builder.credentials_provider(Credentials::new(
                id,
                secret,
                token.map(str::to_owned),
                None,
                "buildcache",
            ));
        }
        Ok(Self { sdk: aws_sdk_s3::Client::from_conf(builder.build()), endpoint })
    }

    /// Whether the server is AWS, which verifies checksums.
    pub(super) fn is_aws(&self) -> bool {
        self.endpoint.is_none()
    }

    /// Whether TLS already protects what is sent, so that the payload need not be hashed.
    pub(super) fn is_guarded(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|url| !url.starts_with("http://"))
    }
}

/// The file of CAs that is given, or else the one of the profile.
async fn ca_bundle(environment: &Environment) -> Result<Option<PathBuf>> {
    if environment.uses_chain() {
        profile::check_files(environment.files())?;
    }
    match environment.ca_bundle() {
        None if environment.uses_chain() => Ok(profile::ca_bundle().await),
        given => Ok(given.map(Path::to_owned)),
    }
}

fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// Without the SDK's retries: they ignore `Retry-After`, and would multiply with ours.
fn retries(config: &S3Config) -> RetryConfig {
    let retries = if config.is_adaptive() { RetryConfig::adaptive() } else { RetryConfig::standard() };
    retries.with_max_attempts(1)
}

fn timeouts(config: &S3Config) -> TimeoutConfig {
    match config.environment().tuning().timeouts().connect {
        Some(connect) => TimeoutConfig::builder().connect_timeout(connect).build(),
        None => TimeoutConfig::disabled(),
    }
}
