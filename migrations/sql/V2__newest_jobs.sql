-- The list of recent threads reads the newest jobs, however many there are.
CREATE INDEX agent_jobs_newest_idx ON agent_jobs (admitted DESC);
