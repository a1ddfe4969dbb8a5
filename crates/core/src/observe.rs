//! What is told to `tracing` and to `metrics`, where the application switched the feature on.
//!
//! Spans and metrics carry the provider id, the operation and how it ended, and nothing else: each is one of a few values that
//! are known beforehand, and none is of a user.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::{future::Future, sync::Arc};

#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::{
    clock::Clock,
    error::{Operation, Result},
};

/// Stands for the provider of what goes through all of them, and for one that is not known.
#[cfg(any(feature = "metrics", feature = "tracing"))]
#[cfg(feature = "connections")]
pub(crate) const NO_PROVIDER: &str = "*";

/// A future, watched: clock, provider id, operation, future. With neither feature it is the future itself, unmoved.
#[cfg(not(any(feature = "metrics", feature = "tracing")))]
macro_rules! observed {
    ($clock:expr, $provider_id:expr, $operation:expr, $work:expr) => {
        $work
    };
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
macro_rules! observed {
    ($clock:expr, $provider_id:expr, $operation:expr, $work:expr) => {
        $crate::observe::watched($clock, $provider_id, $operation, $work)
    };
}

pub(crate) use observed;

/// A span around `work`, which is a child of the caller's whatever task runs it, and a count and a time at its end.
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(crate) fn watched<F, T>(
    clock: &Arc<dyn Clock>,
    provider_id: &str,
    operation: Operation,
    work: F,
) -> impl Future<Output = Result<T>> + use<F, T>
where
    F: Future<Output = Result<T>>,
{
    let mut watch = Watch::new(clock, provider_id, operation);
    // Or there were room for it twice, here and where it waits.
    let work = Box::pin(work);
    async move {
        #[cfg(feature = "tracing")]
        let work = tracing::Instrument::instrument(work, watch.span.clone());
        let result = work.await;
        watch.ends(match &result {
            Ok(_) => "ok",
            Err(error) => error.kind().as_str(),
        });
        result
    }
}

#[cfg(feature = "connections")]
/// Tells of something that happened to a connection.
pub(crate) fn happened(provider_id: &str, event: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "authflow", provider = provider_id, event, "connection");
    #[cfg(feature = "metrics")]
    metrics::counter!("authflow_events_total", "provider" => provider_id.to_owned(), "event" => event)
        .increment(1);
    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    let _ = (provider_id, event);
}

/// One operation that is under way.
#[cfg(any(feature = "metrics", feature = "tracing"))]
struct Watch {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    #[cfg(feature = "metrics")]
    measured: Measured,
    has_ended: bool,
}

#[cfg(feature = "metrics")]
struct Measured {
    clock: Arc<dyn Clock>,
    began: std::time::Duration,
    provider_id: Arc<str>,
    operation: &'static str,
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Watch {
    #[cfg_attr(not(feature = "metrics"), allow(unused_variables, reason = "a span keeps its own time"))]
    fn new(clock: &Arc<dyn Clock>, provider_id: &str, operation: Operation) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::info_span!(
                target: "authflow",
                "authflow",
                provider = provider_id,
                operation = operation.as_str(),
                outcome = tracing::field::Empty,
            ),
            #[cfg(feature = "metrics")]
            measured: Measured {
                clock: Arc::clone(clock),
                began: clock.monotonic(),
                provider_id: provider_id.into(),
                operation: operation.as_str(),
            },
            has_ended: false,
        }
    }

    fn ends(&mut self, outcome: &'static str) {
        self.has_ended = true;
        #[cfg(feature = "tracing")]
        self.span.record("outcome", outcome);
        #[cfg(feature = "metrics")]
        {
            let Measured { clock, began, provider_id, operation } = &self.measured;
            let took = clock.monotonic().saturating_sub(*began).as_secs_f64();
            let labels = || {
                [
                    metrics::Label::new("provider", Arc::clone(provider_id)),
                    metrics::Label::from_static_parts("operation", operation),
                    metrics::Label::from_static_parts("outcome", outcome),
                ]
                .to_vec()
            };
            metrics::counter!("authflow_operations_total", labels()).increment(1);
            metrics::histogram!("authflow_operation_seconds", labels()).record(took);
        }
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl Drop for Watch {
    fn drop(&mut self) {
        // Whoever waited has gone, or what was done has panicked.
        if !self.has_ended {
            self.ends("dropped");
        }
    }
}
