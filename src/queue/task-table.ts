import type { Database } from "better-sqlite3";
import type { Attempt, Pause, Task, TaskFilter, TaskState } from "./contract.ts";
import { createUnknownTask } from "./unknown-task.ts";

type Cell = string | number | null;
type Row = Readonly<Record<string, Cell>>;

/** Property and column; what is not listed as plain is kept as JSON. */
const columns: readonly (readonly [keyof Task, string])[] = [
  ["sequence", "sequence"],
  ["id", "id"],
  ["kind", "kind"],
  ["job", "job"],
  ["payload", "payload"],
  ["keys", "keys"],
  ["priority", "priority"],
  ["state", "state"],
  ["attempt", "attempt"],
  ["maxAttempts", "max_attempts"],
  ["failures", "failures"],
  ["interruptions", "interruptions"],
  ["backoffMs", "backoff_ms"],
  ["onInterrupt", "on_interrupt"],
  ["notBeforeMs", "not_before_ms"],
  ["notBeforeSetAtMs", "not_before_set_at_ms"],
  ["deadlineMs", "deadline_ms"],
  ["enqueuedAtMs", "enqueued_at_ms"],
  ["claimedAtMs", "claimed_at_ms"],
  ["finishedAtMs", "finished_at_ms"],
  ["cancelRequestedAtMs", "cancel_requested_at_ms"],
  ["coalesceKey", "coalesce_key"],
  ["requesters", "requesters"],
  ["worker", "worker"],
  ["result", "result"],
  ["error", "error"],
];
const jsonColumns: ReadonlySet<keyof Task> = new Set(["payload", "keys", "requesters", "worker", "result", "error"]);
const finalStates: readonly TaskState[] = ["done", "failed", "cancelled", "interrupted"];

/** The rows of the queue's file as values. Whoever calls holds the transaction. */
export class TaskTable {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert(task: Omit<Task, "sequence">): Task {
    const stored = columns.filter(([property]) => property !== "sequence");
    const sql = `INSERT INTO tasks (${stored.map(([, column]) => column).join(", ")}) VALUES (${stored.map(([property]) => `@${property}`).join(", ")})`;
    const { lastInsertRowid } = this.#database.prepare<[Row]>(sql).run(toRow(task));
    return { ...task, sequence: Number(lastInsertRowid) };
  }

  save(task: Task): Task {
    const sql = `UPDATE tasks SET ${columns.map(([property, column]) => `${column} = @${property}`).join(", ")} WHERE id = @id`;
    this.#database.prepare<[Row]>(sql).run(toRow(task));
    return task;
  }

  find(id: string): Task | undefined {
    return this.#select("WHERE id = ?", [id])[0];
  }

  read(id: string): Task {
    const task = this.find(id);
    if (task === undefined) throw createUnknownTask(id);
    return task;
  }

  list({ states, kind, job, limit }: TaskFilter): readonly Task[] {
    const conditions = [
      states && `state IN (${states.map(() => "?").join(", ")})`,
      kind !== undefined && "kind = ?",
      job !== undefined && "job = ?",
    ];
    const values = [...(states ?? []), ...(kind === undefined ? [] : [kind]), ...(job === undefined ? [] : [job]), limit ?? -1];
    const where = conditions.filter((condition) => typeof condition === "string").join(" AND ");
    return this.#select(`${where === "" ? "" : `WHERE ${where}`} ORDER BY sequence DESC LIMIT ?`, values).toReversed();
  }

  findByIdempotencyKey(key: string): { readonly task: Task; readonly fingerprint: string } | undefined {
    const sql = "SELECT task_id, fingerprint FROM idempotency_keys WHERE idempotency_key = ?";
    const row = this.#database.prepare<[string], { task_id: string; fingerprint: string }>(sql).get(key);
    return row && { task: this.read(row.task_id), fingerprint: row.fingerprint };
  }

  rememberIdempotencyKey(key: string, task: Task, fingerprint: string): void {
    this.#database.prepare<Cell[]>("INSERT INTO idempotency_keys VALUES (?, ?, ?)").run(key, task.id, fingerprint);
  }

  findWaitingByCoalesceKey(key: string): readonly Task[] {
    return this.#select("WHERE state = 'waiting' AND coalesce_key = ? ORDER BY sequence", [key]);
  }

  recordAttempt(id: string, attempt: Attempt): void {
    const { error } = attempt;
    const values = [
      id,
      attempt.attempt,
      attempt.outcome,
      attempt.claimedAtMs,
      attempt.endedAtMs,
      error === undefined ? null : JSON.stringify(error),
    ];
    this.#database.prepare<Cell[]>("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?)").run(...values);
  }

  attempts(id: string): readonly Attempt[] {
    const sql = `SELECT attempt, outcome, claimed_at_ms AS claimedAtMs, ended_at_ms AS endedAtMs, error FROM attempts WHERE task_id = ? ORDER BY attempt`;
    return this.#database
      .prepare<[string], Omit<Attempt, "error"> & { error: string | null }>(sql)
      .all(id)
      .map(({ error, ...rest }) => ({ ...rest, ...(error === null ? {} : { error: JSON.parse(error) as NonNullable<Attempt["error"]> }) }));
  }

  pause({ job, reason, pausedAtMs }: Pause): void {
    this.resume(job);
    this.#database.prepare<Cell[]>("INSERT INTO pauses VALUES (?, ?, ?)").run(job ?? null, reason ?? null, pausedAtMs);
  }

  resume(job: string | undefined): void {
    this.#database.prepare<Cell[]>("DELETE FROM pauses WHERE job IS ?").run(job ?? null);
  }

  pauses(): readonly Pause[] {
    return this.#database
      .prepare<[], { job: string | null; reason: string | null; paused_at_ms: number }>("SELECT * FROM pauses ORDER BY job")
      .all()
      .map((row) => ({
        ...(row.job === null ? {} : { job: row.job }),
        ...(row.reason === null ? {} : { reason: row.reason }),
        pausedAtMs: row.paused_at_ms,
      }));
  }

  prune(finishedBeforeMs: number): number {
    const sql = `DELETE FROM tasks WHERE finished_at_ms < ? AND state IN (${finalStates.map(() => "?").join(", ")})`;
    return this.#database.prepare<Cell[]>(sql).run(finishedBeforeMs, ...finalStates).changes;
  }

  #select(tail: string, values: readonly Cell[]): Task[] {
    return this.#database
      .prepare<Cell[], Row>(`SELECT * FROM tasks ${tail}`)
      .all(...values)
      .map(fromRow);
  }
}

function toRow(task: Partial<Task>): Row {
  return Object.fromEntries(
    columns.map(([property]) => {
      const value = task[property];
      return [property, value === undefined ? null : jsonColumns.has(property) ? JSON.stringify(value) : (value as Cell)];
    }),
  );
}

function fromRow(row: Row): Task {
  const entries = columns.map(([property, column]) => [property, row[column] ?? null] as const).filter(([, value]) => value !== null);
  return Object.fromEntries(
    entries.map(([property, value]) => [property, jsonColumns.has(property) ? JSON.parse(String(value)) : value]),
  ) as unknown as Task;
}
