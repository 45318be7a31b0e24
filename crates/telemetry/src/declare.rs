//! What a declared metric is made of.

use metrics::{Label as Pair, SharedString};

/// A dimension of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Values that are known beforehand; there is a series at 0 for each from the start.
    pub known: &'static [&'static str],
    /// Whether other values may come. They must be few: never an id.
    pub open: bool,
}

impl Label {
    /// A label whose values are all known.
    pub const fn closed(name: &'static str, known: &'static [&'static str]) -> Self {
        Self { name, known, open: false }
    }

    /// A label that may take further values, each a word from our code or a configuration.
    pub const fn open(name: &'static str, known: &'static [&'static str]) -> Self {
        Self { name, known, open: true }
    }
}

/// What is common to all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The name under which it is exposed.
    pub name: &'static str,
    /// One sentence for whoever reads the page.
    pub help: &'static str,
    /// Its dimensions, in the order in which `with` takes their values.
    pub labels: &'static [Label],
    /// Older names under which the same numbers are exposed too.
    pub aliases: &'static [&'static str],
}

/// A number that only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter(pub Family);

/// A number that comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge(pub Family);

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram(pub Family, pub &'static [f64]);

/// Any of the three, for lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// See [`Counter`].
    Counter(Counter),
    /// See [`Gauge`].
    Gauge(Gauge),
    /// See [`Histogram`].
    Histogram(Histogram),
}

impl Metric {
    /// What is common to all kinds.
    pub const fn family(&self) -> &Family {
        match self {
            Self::Counter(Counter(family))
            | Self::Gauge(Gauge(family))
            | Self::Histogram(Histogram(family, _)) => family,
        }
    }

    /// `counter`, `gauge` or `histogram`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Counter {
    /// The series with these label values, in declared order. Keep the handle where it is hot: the lookup is what
    /// costs (91 ns), not the increment.
    pub fn with(&self, values: &[&str]) -> metrics::Counter {
        metrics::counter!(self.0.name, self.0.pairs(values))
    }
}

impl Gauge {
    /// The series with these label values, in declared order.
    pub fn with(&self, values: &[&str]) -> metrics::Gauge {
        metrics::gauge!(self.0.name, self.0.pairs(values))
    }
}

impl Histogram {
    /// The series with these label values, in declared order. Keep the handle where it is hot.
    pub fn with(&self, values: &[&str]) -> metrics::Histogram {
        metrics::histogram!(self.0.name, self.0.pairs(values))
    }
}

impl Family {
    fn pairs(&self, values: &[&str]) -> Vec<Pair> {
        debug_assert_eq!(values.len(), self.labels.len(), "label values of `{}`", self.name);
        let pair = |(label, value): (&Label, &&str)| {
            debug_assert!(
                label.open || label.known.contains(value),
                "`{}` has no {} `{value}`",
                self.name,
                label.name
            );
            let value = match label.known.iter().find(|known| *known == value) {
                Some(known) => SharedString::const_str(known),
                None => SharedString::from((*value).to_owned()),
            };
            Pair::new(label.name, value)
        };
        self.labels.iter().zip(values).map(pair).collect()
    }

    /// Every combination of known label values; one empty combination for a metric without labels.
    pub fn known(&self) -> Vec<Vec<&'static str>> {
        self.labels.iter().fold(vec![Vec::new()], |rows, label| {
            let longer = |row: &Vec<&'static str>| {
                label.known.iter().map(|value| [row.as_slice(), &[*value]].concat()).collect::<Vec<_>>()
            };
            rows.iter().flat_map(longer).collect()
        })
    }
}
