//! Prints a thread's state as JSON, read from PostgreSQL without Python:
//! `cargo run -p agent-checkpoint-store --example thread_state -- DSN THREAD_ID`.

#![expect(clippy::print_stdout, reason = "an example speaks to its terminal")]

use agent_checkpoint_store::{PostgresConfig, PostgresStore, Store};
use agent_langgraph_codec::{
    CodecError, GraphState, decode_json, encode_files_map, encode_message, load_graph,
};
use serde_json::{Map, Value, json};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dsn), Some(thread)) = (arguments.next(), arguments.next()) else {
        return Err("usage: thread_state DSN THREAD_ID".into());
    };
    let store = PostgresStore::connect(PostgresConfig::from_dsn(&dsn)?).await?;
    let rows = store.load(&thread).await?.rows;
    let state = load_graph(&rows, "")?.ok_or_else(|| format!("no checkpoint of thread {thread}"))?;
    println!("{:#}", shown(&state)?);
    Ok(())
}

fn shown(state: &GraphState) -> Result<Value, CodecError> {
    let (messages, files, channels) = state.current()?;
    let mut values = Map::new();
    let messages = messages.iter().map(|message| decode_json("msgpack", &encode_message(message)));
    values.insert("messages".to_owned(), messages.collect::<Result<Vec<_>, _>>()?.into());
    values.insert("files".to_owned(), decode_json("msgpack", &encode_files_map(&files))?);
    for (channel, value) in &channels {
        values.insert(channel.clone(), value.to_json()?);
    }
    Ok(json!({ "values": values, "next": state.next(), "pending_writes": state.pending.len() }))
}
