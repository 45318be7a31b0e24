//! The layer between tracing and a line.

use std::sync::Arc;

use time::OffsetDateTime;
use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    fields::Fields,
    line::{Format, Line},
};
use crate::secrets;

/// Takes whole lines, each with its line end.
pub(super) type Write = Arc<dyn Fn(&str) + Send + Sync>;

pub(super) struct Lines {
    format: Format,
    write: Write,
}

impl Lines {
    pub(super) fn new(format: Format, write: Write) -> Self {
        Self { format, write }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        // Written as the field `event`, or as the macro's message.
        let named = own.take("event").or_else(|| own.take("message"));
        let name = named.unwrap_or_else(|| event.metadata().name().to_owned());
        // Records of the `log` crate come with their place in fields.
        let target = own.take("log.target");
        own.0.retain(|field, _| !field.starts_with("log."));

        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(around) = span.extensions().get::<Fields>() {
                fields.0.extend(around.0.clone());
            }
        }
        fields.0.extend(own.0);
        let line = Line {
            event: &name,
            level: *event.metadata().level(),
            at: OffsetDateTime::now_utc(),
            target: target.as_deref().unwrap_or_else(|| event.metadata().target()),
            fields: &fields.0,
        };
        (self.write)(&secrets::redact(&line.text(self.format)));
    }
}
