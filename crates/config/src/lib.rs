//! Settings from file, environment and flags, with their sources.
