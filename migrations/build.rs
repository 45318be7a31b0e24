//! A new SQL file must lead to a new build: the files are read while the crate is compiled.

fn main() {
    println!("cargo:rerun-if-changed=sql");
}
