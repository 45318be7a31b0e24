//! One node of a definition.
