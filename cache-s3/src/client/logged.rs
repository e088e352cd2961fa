//! Logs each request that the SDK sends.

use std::error::Error as StdError;

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use cache_kit::RequestLog;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Logs every try.
#[derive(Debug)]
pub(super) struct Logged;

/// The current try.
#[derive(Debug, Clone)]
struct Began(RequestLog);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Logged {
    fn name(&self) -> &'static str {
        "Logged"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let length = request.headers().get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let log = RequestLog::new(crate::KIND, request.method(), request.uri(), length);
        state.interceptor_state().store_put(Began(log));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if let Some(Began(log)) = state.load::<Began>().cloned() {
            let header = |name: &str| response.headers().get(name).map(str::to_owned);
            log.answered(response.status().as_u16(), header);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(Began(log)) = state.load::<Began>().filter(|_| context.response().is_none()).cloned() {
            log.unanswered();
        }
        Ok(())
    }
}
