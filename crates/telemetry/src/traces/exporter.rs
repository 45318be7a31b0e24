//! The way of spans out of the process.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use super::ids::JobsOwnIds;

/// Longest wait for one batch to be taken.
const EXPORT_WAIT: Duration = Duration::from_secs(10);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

pub(super) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// Where traces go, and as whose.
#[derive(Debug, Clone, Copy)]
pub struct TracesOptions<'a> {
    /// Base address of an OTLP/HTTP receiver; spans go to `<endpoint>/v1/traces`.
    pub endpoint: &'a str,
    /// Headers of each request, `name=value` pairs, comma-separated.
    pub headers: &'a str,
    /// `service.name`.
    pub service: &'a str,
    /// `service.version`.
    pub version: &'a str,
    /// Further attributes of the resource, `name=value` pairs, comma-separated.
    pub attributes: &'a str,
}

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The exporter cannot be made from these settings.
    #[error("traces cannot be exported to `{endpoint}`: {reason}")]
    Exporter {
        /// Where they should go.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// Traces go somewhere already.
    #[error("another exporter of traces is already installed in this process")]
    Taken,
}

/// Spans on their way out.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// Begins to export traces, for the whole process. Call it inside a tokio runtime.
///
/// # Errors
/// [`TracesError`]. A receiver that does not answer is no error: spans are dropped then.
pub fn install(options: TracesOptions<'_>) -> Result<Traces, TracesError> {
    let endpoint = format!("{}/v1/traces", options.endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&endpoint)
        .with_timeout(EXPORT_WAIT)
        .with_headers(pairs(options.headers).collect::<HashMap<_, _>>())
        .build()
        .map_err(|error| TracesError::Exporter { endpoint: endpoint.clone(), reason: error.to_string() })?;
    let resource = Resource::builder_empty()
        .with_attributes(pairs(options.attributes).map(|(name, value)| KeyValue::new(name, value)))
        .with_attributes([
            KeyValue::new("service.name", options.service.to_owned()),
            KeyValue::new("service.version", options.version.to_owned()),
        ])
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter, Tokio).build())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_id_generator(JobsOwnIds::default())
        .with_resource(resource)
        .build();
    TRACER.set(provider.tracer("agent-executor")).map_err(|_| TracesError::Taken)?;
    Ok(Traces(provider))
}

impl Traces {
    /// Sends what is left and stops. Blocks the thread for at most the export's time limit.
    pub fn shut_down(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(event = "traces_not_flushed", %error);
        }
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
}
