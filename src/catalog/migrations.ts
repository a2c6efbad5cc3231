/**
 * Forward only: the schema's version is how many of these were run. Never edit one that was released; append.
 * A record is the whole value as JSON; what is searched or sorted by is a column generated from it. `sequence` is the order of arrival:
 * unlike the wall clock it never goes back.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE backups (
    sequence INTEGER PRIMARY KEY,
    record TEXT NOT NULL CHECK (json_valid(record)),
    destination TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'destination') VIRTUAL,
    id TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'id') VIRTUAL,
    job TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'job') VIRTUAL,
    class TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'class') VIRTUAL CHECK (class IN ('backup', 'pre-restore')),
    name TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'name') VIRTUAL,
    created_at_ms INTEGER NOT NULL GENERATED ALWAYS AS (record ->> 'createdAtMs') VIRTUAL,
    job_sequence INTEGER NOT NULL GENERATED ALWAYS AS (record ->> 'sequence') VIRTUAL
  ) STRICT;
  CREATE UNIQUE INDEX backups_by_id ON backups (destination, id);
  CREATE INDEX backups_by_job ON backups (job, created_at_ms);
  CREATE INDEX backups_by_time ON backups (created_at_ms);
  CREATE INDEX backups_by_name ON backups (name);

  CREATE TABLE runs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL CHECK (json_valid(record)),
    id TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'id') VIRTUAL,
    job TEXT GENERATED ALWAYS AS (record ->> 'job') VIRTUAL,
    kind TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'kind') VIRTUAL,
    state TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'state') VIRTUAL,
    finished_at_ms INTEGER GENERATED ALWAYS AS (record ->> 'finishedAtMs') VIRTUAL
  ) STRICT;
  CREATE UNIQUE INDEX runs_by_id ON runs (id);
  CREATE INDEX runs_by_job ON runs (job, kind, sequence);
  CREATE INDEX runs_by_state ON runs (state, sequence);

  CREATE TABLE slots (
    job TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('backup', 'verify', 'drill')),
    first_seen_ms INTEGER NOT NULL,
    last_slot_ms INTEGER,
    PRIMARY KEY (job, purpose)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('ok', 'failed', 'refused')),
    details TEXT NOT NULL CHECK (json_valid(details))
  ) STRICT;
  CREATE INDEX audit_by_time ON audit (at_ms);

  CREATE TABLE restores (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL CHECK (json_valid(record)),
    id TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'id') VIRTUAL,
    job TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'job') VIRTUAL,
    state TEXT NOT NULL GENERATED ALWAYS AS (record ->> 'state') VIRTUAL
  ) STRICT;
  CREATE UNIQUE INDEX restores_by_id ON restores (id);

  CREATE TABLE alarms (
    key TEXT PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    last_told_ms INTEGER NOT NULL,
    detail TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
];
