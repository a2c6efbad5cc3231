/**
 * Forward only: the schema's version is how many of these were run. Never edit one that was released; append.
 * The integrity check at opening tests the CHECK clauses too, so damaged JSON is found then.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE tasks (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    job TEXT,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    keys TEXT NOT NULL CHECK (json_valid(keys)),
    priority TEXT NOT NULL CHECK (priority IN ('interactive', 'scheduled', 'maintenance')),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'recovering', 'done', 'failed', 'cancelled', 'interrupted')),
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    interruptions INTEGER NOT NULL,
    backoff_ms INTEGER NOT NULL,
    on_interrupt TEXT NOT NULL CHECK (on_interrupt IN ('retry', 'record')),
    not_before_ms INTEGER NOT NULL,
    not_before_set_at_ms INTEGER NOT NULL,
    deadline_ms INTEGER,
    enqueued_at_ms INTEGER NOT NULL,
    claimed_at_ms INTEGER,
    finished_at_ms INTEGER,
    cancel_requested_at_ms INTEGER,
    coalesce_key TEXT,
    requesters TEXT NOT NULL CHECK (json_valid(requesters)),
    worker TEXT CHECK (worker IS NULL OR json_valid(worker)),
    result TEXT CHECK (result IS NULL OR json_valid(result)),
    error TEXT CHECK (error IS NULL OR json_valid(error))
  ) STRICT;
  CREATE INDEX tasks_by_state ON tasks (state, sequence);

  CREATE TABLE idempotency_keys (
    idempotency_key TEXT PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL
  ) STRICT;
  CREATE INDEX idempotency_keys_by_task ON idempotency_keys (task_id);

  CREATE TABLE attempts (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'failed', 'cancelled', 'interrupted')),
    claimed_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER NOT NULL,
    error TEXT CHECK (error IS NULL OR json_valid(error)),
    PRIMARY KEY (task_id, attempt)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE pauses (
    job TEXT UNIQUE,
    reason TEXT,
    paused_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX pause_of_all ON pauses (job IS NULL) WHERE job IS NULL;
  `,
];
