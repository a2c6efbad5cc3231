import { HoldfastError } from "../base/errors.ts";
import type { CatalogFile } from "./catalog-file.ts";
import type { Slot, SlotPurpose, Slots } from "./contract.ts";

export class SlotTable implements Slots {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  get(job: string, purpose: SlotPurpose): Slot | undefined {
    const sql = "SELECT first_seen_ms AS firstSeenMs, last_slot_ms AS lastSlotMs FROM slots WHERE job = ? AND purpose = ?";
    const row = this.#file.get(sql, job, purpose) as { readonly firstSeenMs: number; readonly lastSlotMs: number | null } | undefined;
    if (row === undefined) return undefined;
    return row.lastSlotMs === null ? { firstSeenMs: row.firstSeenMs } : { firstSeenMs: row.firstSeenMs, lastSlotMs: row.lastSlotMs };
  }

  ensureSeen(job: string, purpose: SlotPurpose, nowMs: number): Slot {
    return this.#file.transact(() => {
      const added = this.#file.run("INSERT INTO slots VALUES (?, ?, ?, NULL) ON CONFLICT DO NOTHING", job, purpose, nowMs);
      if (added > 0) this.#file.touch("slots");
      return this.get(job, purpose) ?? { firstSeenMs: nowMs };
    });
  }

  setLast(job: string, purpose: SlotPurpose, slotMs: number): void {
    this.#file.touch("slots");
    const changed = this.#file.run("UPDATE slots SET last_slot_ms = ? WHERE job = ? AND purpose = ?", slotMs, job, purpose);
    if (changed === 0) throw new HoldfastError("unknown-name", `The schedule of "${job}" (${purpose}) was never seen`);
  }

  forget(job: string): void {
    this.#file.touch("slots");
    this.#file.run("DELETE FROM slots WHERE job = ?", job);
  }
}
