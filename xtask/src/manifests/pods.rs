//! Pods, wherever an object holds one.

use serde_json::Value;

use super::documents::{Document, items, text};
use super::sets::Set;

/// A pod template with the object that holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pod<'a> {
    pub(crate) owner: &'a Document,
    template: &'a Value,
}

impl<'a> Pod<'a> {
    pub(crate) fn labels(&self) -> &'a Value {
        self.template.pointer("/metadata/labels").unwrap_or(&Value::Null)
    }

    pub(crate) fn spec(&self, pointer: &str) -> Option<&'a Value> {
        self.template.pointer(&format!("/spec{pointer}"))
    }

    /// Init containers too.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        items(self.spec("/initContainers")).chain(items(self.spec("/containers")))
    }

    pub(crate) fn main(&self) -> Option<&'a Value> {
        self.spec("/containers/0")
    }
}

/// The pods of a set.
pub(crate) fn pods(set: &Set) -> impl Iterator<Item = Pod<'_>> {
    set.documents.iter().filter_map(|owner| {
        let place = match owner.kind() {
            "Deployment" | "Job" => "/spec/template",
            "ScaledJob" => "/spec/jobTargetRef/template",
            _ => return None,
        };
        Some(Pod { owner, template: owner.at(place)? })
    })
}

/// The plain value of a variable of a container.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let found = items(container.get("env")).filter(|variable| text(variable, "name") == Some(name));
    text(found.last()?, "value")
}

/// The port of a container with this name.
pub(crate) fn port<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    items(container.get("ports")).find(|port| text(port, "name") == Some(name))
}
