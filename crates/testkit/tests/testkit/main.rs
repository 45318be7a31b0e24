//! What testkit promises to the tests that use it.

#[cfg(test)]
mod containers;
#[cfg(test)]
mod fake_model;
#[cfg(test)]
mod fault_proxy;
#[cfg(test)]
mod servers;
