//! What people do here: test, up, down, demo, bench, tidy.

fn main() {}
