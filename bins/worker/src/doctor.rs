//! `worker doctor`: looks at everything that a worker needs, and says what to do about what is wrong.

mod backends;
mod local;
mod providers;

use std::io::Write;
use std::process::ExitCode;

use agent_config::{Environment, Purpose, Settings};

use crate::start;

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it must be.
    Good,
    /// A worker runs, but somebody should know.
    Look,
    /// A worker cannot run, or would fail its jobs.
    Bad,
}

/// One line of the answer.
#[derive(Debug)]
pub(crate) struct Finding {
    verdict: Verdict,
    check: &'static str,
    text: String,
    advice: Option<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn good(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding { verdict: Verdict::Good, check, text: text.into(), advice: None });
    }

    pub(crate) fn look(&mut self, check: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        let advice = Some(advice.into());
        self.0.push(Finding { verdict: Verdict::Look, check, text: text.into(), advice });
    }

    pub(crate) fn bad(&mut self, check: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        let advice = Some(advice.into());
        self.0.push(Finding { verdict: Verdict::Bad, check, text: text.into(), advice });
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

pub(crate) fn main() -> ExitCode {
    let mut findings = Findings::default();
    let settings = match load(&mut findings) {
        Ok(settings) => settings,
        Err(code) => {
            print(&findings);
            return code;
        }
    };
    if let Err(code) = start::quiet(&settings) {
        return code;
    }
    let examined = start::block_on(async {
        local::check(&settings, &mut findings);
        local::sandbox(&settings, &mut findings).await;
        backends::postgres(&settings, &mut findings).await;
        backends::nats(&settings, &mut findings).await;
        backends::cache(&settings, &mut findings).await;
        providers::check(&settings, &mut findings).await;
        Ok(())
    });
    if let Err(failure) = examined {
        findings.bad("doctor", format!("{failure:#}"), "run it again where threads can be started");
    }
    print(&findings);
    if findings.count(Verdict::Bad) > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn load(findings: &mut Findings) -> Result<Settings, ExitCode> {
    let mut environment = Environment::from_process();
    let file = std::path::Path::new(".env");
    if file.exists() {
        environment = environment.with_file(file).map_err(|error| {
            findings.bad("settings", error.to_string(), "correct the file `.env`, or remove it");
            ExitCode::from(start::WRONG_SETTINGS)
        })?;
    }
    let settings = Settings::load(&environment, Purpose::Serve).map_err(|error| {
        for problem in &error.problems {
            findings.bad("settings", problem.to_string(), "see docs/configuration.md");
        }
        ExitCode::from(start::WRONG_SETTINGS)
    })?;
    start::keep_secrets(&settings);
    for warning in &settings.warnings {
        findings.look("settings", warning.to_string(), "correct or remove the variable");
    }
    let set =
        settings.explain().iter().filter(|(_, _, source)| *source != agent_config::Source::Default).count();
    findings.good("settings", format!("{set} set, the rest by default (`worker config` lists all)"));
    Ok(settings)
}

fn print(findings: &Findings) {
    let mut out = std::io::stdout().lock();
    let mut say = |text: String| {
        // Whoever read it has seen enough.
        drop(writeln!(out, "{}", agent_telemetry::secrets::redact(&text)));
    };
    for finding in &findings.0 {
        let word = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Look => "look",
            Verdict::Bad => "BAD ",
        };
        say(format!("{word}  {:<18} {}", finding.check, finding.text));
        if let Some(advice) = &finding.advice {
            say(format!("      {:<18} → {advice}", ""));
        }
    }
    let (bad, look) = (findings.count(Verdict::Bad), findings.count(Verdict::Look));
    say(format!("\n{} good, {look} to look at, {bad} bad", findings.count(Verdict::Good)));
}
