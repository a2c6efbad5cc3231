import type { CatalogFile } from "./catalog-file.ts";
import type { AuditEvent, AuditFilter, AuditTrail, JsonValue } from "./contract.ts";
import { createWhere } from "./create-where.ts";

type Row = Omit<AuditEvent, "details"> & { readonly details: string };

export class AuditTable implements AuditTrail {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  record({ atMs, actor, action, subject, outcome, details }: AuditEvent): void {
    const sql = "INSERT INTO audit (at_ms, actor, action, subject, outcome, details) VALUES (?, ?, ?, ?, ?, ?)";
    this.#file.run(sql, atMs, actor, action, subject, outcome, JSON.stringify(details));
  }

  list({ actor, action, subject, outcome, sinceMs, untilMs }: AuditFilter = {}, limit = -1): readonly AuditEvent[] {
    const { where, values } = createWhere([
      ["actor = ?", actor],
      ["action = ?", action],
      ["subject = ?", subject],
      ["outcome = ?", outcome],
      ["at_ms >= ?", sinceMs],
      ["at_ms < ?", untilMs],
    ]);
    const sql = `SELECT at_ms AS atMs, actor, action, subject, outcome, details FROM audit ${where} ORDER BY sequence DESC LIMIT ?`;
    const rows = this.#file.all(sql, ...values, limit) as readonly Row[];
    return rows.map((row) => ({ ...row, details: JSON.parse(row.details) as JsonValue }));
  }

  prune(beforeMs: number): number {
    return this.#file.run("DELETE FROM audit WHERE at_ms < ?", beforeMs);
  }
}
