//! The generated page about settings.

use std::fmt::Write as _;

use crate::env::AREAS;

/// The text of `docs/configuration.md`.
pub fn configuration_page() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Generated from `crates/config/src/env.rs`; a test compares.\n\n\
         Settings are read from the environment, then from a `.env` file where one is named; the environment wins. An \
         empty value counts as not set. Names in one row are tried from left to right. Every secret can be given by a \
         file: `NAME_FILE` names it. `worker config` prints each setting, its value or `[REDACTED]`, and where it \
         came from. A wrong value stops the start with exit code 2; all are reported at once. Variables that are not \
         named here are ignored; near misses of these names are warned about.\n",
    );
    for (area, about, variables) in AREAS {
        // Writing to a String cannot fail.
        write!(
            page,
            "\n## {area}\n\n{about}\n\n| variable | default | takes | meaning |\n|---|---|---|---|\n"
        )
        .unwrap_or_default();
        for var in *variables {
            let names: Vec<String> =
                [var.name].iter().chain(var.also).map(|name| format!("`{name}`")).collect();
            let secret = match (var.secret, var.may_be_file()) {
                (true, true) => "; secret, also as a file",
                (true, false) => "; secret",
                (false, _) => "",
            };
            writeln!(
                page,
                "| {} | {} | {}{secret} | {} |",
                names.join(", "),
                var.default.map_or_else(|| "unset".to_owned(), |value| format!("`{value}`")),
                var.kind.expected().replace('|', "\\|"),
                var.doc,
            )
            .unwrap_or_default();
        }
    }
    page
}
