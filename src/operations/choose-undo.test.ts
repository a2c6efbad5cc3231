import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup } from "../../test/support/catalog.ts";
import { openControlBed } from "../../test/support/control.ts";
import type { Restore } from "../catalog/contract.ts";
import { chooseUndo } from "./choose-undo.ts";
import type { Core } from "./core.ts";
import { offlineJournalDir } from "./prepare-task.ts";
import { createRestoreJournal } from "./restore-journal.ts";

const preRestore = { destination: "local", id: "p1", name: "pre_restore_1" };

function put(core: Core, id: string, facts: Partial<Restore> = {}): void {
  const names = { backupId: "b1", destination: "local", backupName: "backup_1", job: "nightly", datastores: ["files"] };
  core.catalog.restores.put({ id, runId: `task-${id}`, ...names, startedAtMs: 1000, finishedAtMs: 2000, state: "done", ...facts });
}
