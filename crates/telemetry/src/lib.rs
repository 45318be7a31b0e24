//! Every metric and log field.
