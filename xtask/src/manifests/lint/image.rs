//! The Dockerfiles: one runtime part, nothing that an engine without BuildKit does not know, no root.

use crate::manifests::Report;
use crate::manifests::sets;

const MARK: &str = "# ---- from here on the same";

pub(super) fn check(report: &mut Report) -> anyhow::Result<()> {
    let read = |name: &str| std::fs::read_to_string(sets::folder().join(name));
    let (compiled, prebuilt) = (read("Dockerfile")?, read("Dockerfile.prebuilt")?);
    for fault in faults(&compiled, &prebuilt) {
        report.fault("files", fault);
    }
    Ok(())
}

fn faults(compiled: &str, prebuilt: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let runtime = |text: &str| text.split_once(MARK).map(|(_, part)| part.to_owned());
    match (runtime(compiled), runtime(prebuilt)) {
        (Some(one), Some(other)) if one == other => {}
        _ => faults.push("Dockerfile and Dockerfile.prebuilt differ in their runtime part".to_owned()),
    }
    for (name, text) in [("Dockerfile", compiled), ("Dockerfile.prebuilt", prebuilt)] {
        for word in ["# syntax", "--mount", "ADD ", "<<"] {
            if text.contains(word) {
                faults.push(format!("{name}: `{word}` needs BuildKit, or fetches what nobody checked"));
            }
        }
        let user = text.lines().rev().find_map(|line| line.strip_prefix("USER "));
        let uid = user.and_then(|user| user.split(':').next()?.parse::<u32>().ok());
        if uid.is_none_or(|uid| uid < 10_000) {
            faults.push(format!("{name}: the last USER is {user:?}, expected a number above 10000"));
        }
        if !text.contains("ARG RUNTIME_IMAGE=") {
            faults.push(format!("{name}: the base is not given by RUNTIME_IMAGE"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_different_runtime_part_a_mount_and_a_root_user_are_found() {
        let good = format!("ARG RUNTIME_IMAGE=x\nFROM x\n{MARK}\nUSER 10001:10001\n");
        assert_eq!(faults(&good, &good), Vec::<String>::new());
        assert_eq!(faults(&good, &good.replace("10001:", "10002:")).len(), 1);
        assert_eq!(faults(&good, &good.replace("FROM x", "RUN --mount=type=cache x")).len(), 1);
        let root = good.replace("10001:10001", "0:0");
        assert_eq!(faults(&root, &root).len(), 2);
        let fixed = good.replace("ARG RUNTIME_IMAGE=x\n", "");
        assert_eq!(faults(&fixed, &fixed).len(), 2);
    }
}
