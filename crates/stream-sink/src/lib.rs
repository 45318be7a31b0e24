//! Port and backends of the live event stream.
