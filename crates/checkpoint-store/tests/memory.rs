//! The store in memory does what every store must do.

use agent_checkpoint_store::MemoryStore;

agent_checkpoint_store::store_conformance!(async { Some(MemoryStore::default()) });
