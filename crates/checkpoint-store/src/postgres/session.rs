//! A connection that writes groups, with its statements prepared.

mod begin;
mod write;

use std::time::Duration;

use tokio_postgres::{Client, Row, Statement};

use super::error::{Class, class};
use super::link::Connector;
use super::rows::Param;
use super::{job, sql};
use crate::port::StoreError;
use crate::types::{JobRecord, Lease};

/// Why a group did not go through as a whole.
pub(super) enum Failed {
    Database(tokio_postgres::Error),
    /// The server is silent; the connection is of no more use.
    Silent,
    Data(StoreError),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl Failed {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Database(error) => class(error),
            Self::Silent => Class::Broken,
            Self::Data(_) => Class::Refused,
        }
    }

    pub(super) fn error(&self) -> StoreError {
        match self {
            Self::Database(error) => StoreError::from(error),
            Self::Silent => StoreError::Unavailable("the server does not answer".to_owned()),
            Self::Data(error) => error.clone(),
        }
    }
}

/// What became of one call of a group.
pub(super) enum Outcome<A> {
    Done(Result<A, StoreError>),
    /// The world changed between the statement's snapshot and its locks: ask once more.
    Again,
}

pub(super) struct Session {
    client: Client,
    begin: Statement,
    write: Statement,
    settle: Statement,
    /// Seconds that a lease lasts.
    ttl: f64,
    /// Beyond the server's own limit of a statement.
    silence: Duration,
}

/// What `settle` left.
enum Settled {
    Fenced,
    Released,
    Next(Box<JobRecord>),
}

impl Session {
    pub(super) async fn open(connector: &Connector, ttl: f64, silence: Duration) -> Result<Self, Failed> {
        let opening = async {
            let (client, _task) = connector.greeted().await?;
            let (begin, write, settle) = (sql::begin(), sql::write(), sql::settle());
            let (begin, write, settle) =
                tokio::try_join!(client.prepare(&begin), client.prepare(&write), client.prepare(&settle))?;
            Ok(Self { client, begin, write, settle, ttl, silence })
        };
        tokio::time::timeout(silence, opening).await.unwrap_or(Err(Failed::Silent))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn ask(&self, statement: &Statement, params: &[Param<'_>]) -> Result<Vec<Row>, Failed> {
        let asked = tokio::time::timeout(self.silence, self.client.query(statement, params)).await;
        Ok(asked.map_err(|_| Failed::Silent)??)
    }

    async fn ask_rarely(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failed> {
        let asked = tokio::time::timeout(self.silence, self.client.query(sql, params)).await;
        Ok(asked.map_err(|_| Failed::Silent)??)
    }

    /// Gives the holder of a lease the oldest open job of its thread, or releases it.
    async fn settle(&self, lease: &Lease, last_used: i64, unclean: bool) -> Result<Settled, Failed> {
        loop {
            let unclean = i32::from(unclean);
            let params: [Param<'_>; 6] =
                [&&*lease.thread_id, &&*lease.owner, &lease.epoch, &last_used, &unclean, &self.ttl];
            let rows = self.ask(&self.settle, &params).await?;
            let Some(row) = rows.first() else { return Ok(Settled::Fenced) };
            if let Some(job) = job::of(row)? {
                return Ok(Settled::Next(Box::new(job)));
            }
            if !row.try_get::<_, bool>("waiting")? {
                return Ok(Settled::Released);
            }
            // A job came between the snapshot and the lock; it is in the next snapshot.
        }
    }
}
