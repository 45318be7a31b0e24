//! Port and backends of the durable store.
