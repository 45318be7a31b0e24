//! Performs a run's effects: leases, commits, relay, drain.
