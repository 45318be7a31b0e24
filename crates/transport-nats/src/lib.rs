//! JetStream consumer and publisher.
