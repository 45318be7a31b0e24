//! Streaming client of model providers.
