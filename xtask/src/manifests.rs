//! `cargo xtask manifests`: everything in deploy/ and the workflows, against schemas and against what no schema sees.
//! Every check must also be able to fail: `xtask/planted` holds faults, and each has to be found by the check it names.

mod core_kinds;
mod custom_kinds;
mod documents;
mod fetch;
mod keda;
mod lint;
mod planted;
mod pods;
mod render;
mod sets;
mod strict;
mod validate;
mod workflows;

use crate::flags::Manifests;
use sets::Deploy;

/// A finding of one check.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// Which check: `custom-kinds`, `selectors`, …
    pub(crate) check: &'static str,
    pub(crate) text: String,
}

/// What was found, and what could not be looked for.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) skipped: Vec<String>,
}

impl Report {
    fn fault(&mut self, check: &'static str, text: impl Into<String>) {
        self.findings.push(Finding { check, text: text.into() });
    }

    fn skip(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.skipped.contains(&text) {
            self.skipped.push(text);
        }
    }
}

impl Manifests {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut report = Report::default();
        let schemas = Schemas::load(&mut report)?;
        let deploy = Deploy::read(&mut report)?;
        check(&deploy, &schemas, &mut report);
        lint::files(&mut report)?;
        if !self.without_workflows {
            workflows::check(&mut report)?;
        }
        let planted = planted::check(&deploy, &schemas, &mut report)?;
        for reason in &report.skipped {
            println!("skipped: {reason}");
        }
        for finding in &report.findings {
            println!("manifests: {}: {}", finding.check, finding.text);
        }
        let documents: usize = deploy.sets.iter().map(|set| set.documents.len()).sum();
        println!(
            "manifests: {documents} objects in {} sets, {} checks, {planted}",
            deploy.sets.len(),
            lint::CHECKS.len() + 3,
        );
        anyhow::ensure!(report.findings.is_empty(), "{} faults", report.findings.len());
        println!("manifests: clean");
        Ok(())
    }
}

/// The schemas that could be had here.
#[derive(Debug)]
pub(crate) struct Schemas {
    custom: custom_kinds::CustomKinds,
    core: Option<core_kinds::CoreKinds>,
    triggers: Option<keda::Triggers>,
}

impl Schemas {
    fn load(report: &mut Report) -> anyhow::Result<Self> {
        let core = match core_kinds::CoreKinds::load() {
            Ok(core) => Some(core),
            Err(reason) => {
                report.skip(format!("schemas of Kubernetes' own kinds: {reason:#}"));
                None
            }
        };
        let triggers = keda::Triggers::load()?;
        if triggers.is_none() {
            report.skip(
                "KEDA's trigger parameters and the custom resources' schemas: ../shared/crds is absent",
            );
        }
        Ok(Self { custom: custom_kinds::CustomKinds::load()?, core, triggers })
    }
}

/// All checks over all sets.
fn check(deploy: &Deploy, schemas: &Schemas, report: &mut Report) {
    for set in &deploy.sets {
        for document in set.documents.iter().filter(|_| set.is_objects()) {
            let known = schemas.custom.check(set, document, report);
            let core = schemas.core.as_ref().map(|core| core.check(set, document, report));
            if !known && core == Some(false) {
                let text = format!("{set}: {document}: no schema knows this kind and version");
                report.fault("custom-kinds", text);
            }
            if let Some(triggers) = &schemas.triggers {
                triggers.check(set, document, report);
            }
        }
        lint::set(deploy, set, report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deploy_is_clean_and_every_planted_fault_is_found() {
        let mut report = Report::default();
        let schemas = Schemas::load(&mut report).unwrap();
        let deploy = Deploy::read(&mut report).unwrap();
        check(&deploy, &schemas, &mut report);
        lint::files(&mut report).unwrap();
        planted::check(&deploy, &schemas, &mut report).unwrap();
        for reason in &report.skipped {
            eprintln!("skipped: {reason}");
        }
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
    }
}
