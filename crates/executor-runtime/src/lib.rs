//! Performs what the state machine asks for: models and tools at once, commits in order, under a lease; and offers
//! transports and embedders one type, [`Executor`].
//!
//! It knows no backend by name: store, stream, models, tools and publisher are ports.

mod calls;
mod definitions;
mod deltas;
mod driver;
mod end;
mod events;
mod executor;
mod failure;
mod finish;
mod leases;
mod outlet;
mod ports;
mod relay;
mod setbacks;
mod settings;
mod sweep;
mod takeover;
mod traced;
mod waiters;
mod watches;
mod work;

pub use events::{Events, Since};
pub use executor::{Backends, Executor, JobEnd, JobHandle, Slot, Submission};
pub use ports::{Clock, NoPublisher, PublishError, ResultPublisher, SystemClock};
pub use settings::RuntimeSettings;
