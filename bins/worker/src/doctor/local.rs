//! What lies in this process and its machine: tokens, files, budgets.

use std::time::Duration;

use agent_config::Settings;

use super::Findings;
use crate::compose;

pub(crate) fn check(settings: &Settings, findings: &mut Findings) {
    if settings.http.tokens.is_empty() && settings.http.tokens_file.is_none() {
        findings.look(
            "http auth",
            "whoever reaches the port may start jobs and read threads",
            "set API_TOKENS or API_TOKENS_FILE (overlay `auth`), or let only trusted namespaces in",
        );
    } else {
        findings.good("http auth", "tokens are asked for");
    }
    if let Some(file) = &settings.worker.default_definition_file {
        match compose::definition(file) {
            Ok(_) => findings.good("default definition", file.display().to_string()),
            Err(error) => findings.bad(
                "default definition",
                format!("{error:#}"),
                "correct DEFAULT_AGENT_DEFINITION_FILE, or mount the file that it names",
            ),
        }
    }
    let budget = settings.worker.drain_budget;
    if budget < Duration::from_secs(10) {
        findings.look(
            "drain budget",
            format!("{} s are little: model calls are cut and paid again", budget.as_secs()),
            "raise DRAIN_BUDGET_SECONDS together with terminationGracePeriodSeconds",
        );
    }
}

/// Whether tool scripts of definitions can run here, confined.
pub(crate) async fn sandbox(settings: &Settings, findings: &mut Findings) {
    let Some(host) = compose::scripts(settings) else {
        return findings.good("tool scripts", "off: definitions that bring scripts are refused");
    };
    match host.probe().await {
        Ok(_) => findings.good("tool scripts", "run, confined by the kernel"),
        Err(error) => findings.look(
            "tool scripts",
            error.to_string(),
            "definitions with scripts are refused: use the image with Python (target `python`) on a kernel with \
             Landlock, or set TOOL_SCRIPTS=off",
        ),
    }
}
