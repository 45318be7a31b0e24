-- The tables of PostgreSQL, in SQLite's words: one shape to know. See docs/decisions/0004-sqlite-same-shape.md.
CREATE TABLE IF NOT EXISTS checkpoints (
    thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
    parent_checkpoint_id TEXT, type TEXT, checkpoint TEXT NOT NULL, metadata TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint_blobs (
    thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', channel TEXT NOT NULL, version TEXT NOT NULL,
    type TEXT NOT NULL, blob BLOB, PRIMARY KEY (thread_id, checkpoint_ns, channel, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint_writes (
    thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL, task_id TEXT NOT NULL,
    idx INTEGER NOT NULL, channel TEXT NOT NULL, type TEXT, blob BLOB NOT NULL, task_path TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_jobs (
    admitted INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE, thread_id TEXT NOT NULL, payload_hash TEXT NOT NULL,
    request BLOB NOT NULL, status TEXT NOT NULL, unclean_count INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, deadline_at INTEGER, ended_at INTEGER,
    ended_epoch INTEGER, result BLOB);
CREATE INDEX IF NOT EXISTS agent_jobs_thread_idx ON agent_jobs (thread_id, admitted);
CREATE TABLE IF NOT EXISTS agent_leases (
    thread_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, owner TEXT NOT NULL, lease_until INTEGER NOT NULL,
    released INTEGER NOT NULL, seq_reserved INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_steps (
    thread_id TEXT NOT NULL, job_id TEXT NOT NULL, step INTEGER NOT NULL, call_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    state TEXT NOT NULL, PRIMARY KEY (thread_id, job_id, step, call_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent_outbox (
    thread_id TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL,
    sent_at INTEGER, PRIMARY KEY (thread_id, id));
CREATE TABLE IF NOT EXISTS agent_dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, seq INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
    job_id TEXT, subject TEXT NOT NULL, head BLOB NOT NULL, hash TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS agent_dead_letters_once ON agent_dead_letters (source, seq) WHERE seq <> 0;
CREATE TABLE IF NOT EXISTS agent_events (
    thread_id TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, job_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    events BLOB NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (thread_id, first_seq)) WITHOUT ROWID;
