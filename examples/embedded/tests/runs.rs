//! The example does what its README says.

use std::process::Command;

#[test]
fn the_job_runs_and_its_result_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_embedded")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\"1 message\"\n");
}
