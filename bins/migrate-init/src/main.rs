//! Applies the database migrations.

fn main() {}
