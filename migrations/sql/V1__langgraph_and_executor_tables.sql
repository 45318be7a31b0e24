-- LangGraph's four tables, as PostgresSaver.setup() of langgraph-checkpoint-postgres 2/3 leaves them (its migrations 0 to 9).
-- A database that it has set up already is adopted: what is there is not touched, whether its bookkeeping
-- holds rows 0 to 9 or only row 9.

CREATE TABLE IF NOT EXISTS checkpoint_migrations (
    v integer PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS checkpoints (
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    checkpoint_id text NOT NULL,
    parent_checkpoint_id text,
    type text,
    checkpoint jsonb NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);

CREATE TABLE IF NOT EXISTS checkpoint_blobs (
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    channel text NOT NULL,
    version text NOT NULL,
    type text NOT NULL,
    blob bytea,
    PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
);

CREATE TABLE IF NOT EXISTS checkpoint_writes (
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    checkpoint_id text NOT NULL,
    task_id text NOT NULL,
    idx integer NOT NULL,
    channel text NOT NULL,
    type text,
    blob bytea NOT NULL,
    task_path text NOT NULL DEFAULT '',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);

-- Only what the bookkeeping does not have yet: on an adopted table even a statement that changes nothing would
-- wait for its writers.
DO $$
DECLARE
    done integer := coalesce((SELECT max(v) FROM checkpoint_migrations), -1);
BEGIN
    IF done < 4 THEN
        ALTER TABLE checkpoint_blobs ALTER COLUMN blob DROP NOT NULL;
    END IF;
    IF done < 6 THEN
        CREATE INDEX IF NOT EXISTS checkpoints_thread_id_idx ON checkpoints (thread_id);
    END IF;
    IF done < 7 THEN
        CREATE INDEX IF NOT EXISTS checkpoint_blobs_thread_id_idx ON checkpoint_blobs (thread_id);
    END IF;
    IF done < 8 THEN
        CREATE INDEX IF NOT EXISTS checkpoint_writes_thread_id_idx ON checkpoint_writes (thread_id);
    END IF;
    IF done < 9 THEN
        ALTER TABLE checkpoint_writes ADD COLUMN IF NOT EXISTS task_path text NOT NULL DEFAULT '';
    END IF;
    INSERT INTO checkpoint_migrations (v) SELECT v FROM generate_series(done + 1, 9) AS v;
END
$$;

-- Ours. No name may begin with `checkpoint`: readers count exactly four such tables. What holds a caller's text is
-- bytea, since text and jsonb cannot hold U+0000.

-- The one table that is found by job_id alone.
CREATE TABLE agent_jobs (
    job_id text PRIMARY KEY,
    thread_id text NOT NULL,
    -- Order within a thread.
    admitted bigint GENERATED ALWAYS AS IDENTITY,
    payload_hash text NOT NULL,
    request bytea NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    unclean_count integer NOT NULL DEFAULT 0,
    cancel_requested boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    deadline_at timestamptz,
    ended_at timestamptz,
    -- Epoch under which it ended: tells a finish that is repeated from one that comes too late.
    ended_epoch bigint,
    result bytea,
    -- The call that admitted it: tells a begin whose answer was lost that it was the one.
    call bigint NOT NULL
);
CREATE INDEX agent_jobs_thread_idx ON agent_jobs (thread_id, admitted);
CREATE INDEX agent_jobs_open_idx ON agent_jobs (thread_id, admitted) WHERE status IN ('queued', 'running');

-- Renewed by every commit: room on the page keeps those updates off the index.
CREATE TABLE agent_leases (
    thread_id text PRIMARY KEY,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    lease_until timestamptz NOT NULL,
    released boolean NOT NULL,
    -- A job was queued since the last handover: whoever finishes must look for it.
    waiting boolean NOT NULL,
    -- The holder before did not hand the thread back.
    taken_over boolean NOT NULL,
    -- Event numbers up to here may be in use.
    seq_reserved bigint NOT NULL,
    -- The call that took it.
    call bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE agent_steps (
    thread_id text NOT NULL,
    job_id text NOT NULL,
    step bigint NOT NULL,
    call_id text NOT NULL,
    epoch bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('intent', 'done', 'unknown')),
    PRIMARY KEY (thread_id, job_id, step, call_id)
);

CREATE TABLE agent_outbox (
    thread_id text NOT NULL,
    id text NOT NULL,
    subject text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    PRIMARY KEY (thread_id, id)
);
CREATE INDEX agent_outbox_due_idx ON agent_outbox (created_at) WHERE sent_at IS NULL;
CREATE INDEX agent_outbox_age_idx ON agent_outbox USING brin (created_at);

CREATE TABLE agent_dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    seq bigint NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    job_id text,
    subject text NOT NULL,
    head bytea NOT NULL,
    hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX agent_dead_letters_once ON agent_dead_letters (source, seq) WHERE seq <> 0;

CREATE TABLE agent_events (
    thread_id text NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    job_id text NOT NULL,
    epoch bigint NOT NULL,
    events bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread_id, first_seq)
);
CREATE INDEX agent_events_age_idx ON agent_events USING brin (created_at);
