//! `worker validate`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use agent_executor_core::{Defaults, Definition, Diagnostic, ModelRef, Severity, definition_schema};
use serde_json::json;

use crate::cli::ValidateArgs;
use crate::{compose, start};

pub(crate) fn main(args: &ValidateArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    // Whoever reads it may have seen enough; the exit code counts.
    match check_all(args, &mut out) {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn check_all(args: &ValidateArgs, out: &mut impl Write) -> io::Result<ExitCode> {
    if args.schema {
        writeln!(out, "{}", serde_json::to_string_pretty(&definition_schema())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A worker has a default model, so one that is not named is no problem here.
    let model = ModelRef { provider: "openai".to_owned(), model: "gpt-4o-mini".to_owned() };
    let defaults = Defaults { model: Some(model) };
    let mut bad = false;
    for file in &args.files {
        let document = match compose::definition(file) {
            Ok(document) => document,
            Err(error) => return Ok(start::wrong(&format!("{error:#}"))),
        };
        let found = Definition::diagnose(&document, &defaults);
        bad |= found.iter().any(|one| args.strict || one.severity == Severity::Error);
        for one in &found {
            tell(args, file, one, out)?;
        }
        if found.is_empty() && !args.json {
            writeln!(out, "{}: ok", file.display())?;
        }
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn tell(args: &ValidateArgs, file: &Path, one: &Diagnostic, out: &mut impl Write) -> io::Result<()> {
    let file = file.display();
    if !args.json {
        return writeln!(out, "{file}: {one}");
    }
    let line = json!({
        "file": file.to_string(),
        "severity": one.severity.as_str(),
        "code": one.code,
        "path": one.at.to_string(),
        "problem": one.problem,
        "fix": one.fix,
    });
    writeln!(out, "{line}")
}
