import assert from "node:assert/strict";
import { ask, type ControlBed } from "./control.ts";

/** Limits that a test can reach. */
export const quickLimits = { headersMs: 200, requestMs: 400, checkMs: 50, stallMs: 600, heartbeatMs: 50, connections: 8 };
export const backupsPath = "/v1/jobs/nightly/backups";

interface Failure {
  readonly error: { readonly code: string; readonly message: string };
}
export const codeOf = (body: unknown): string => (body as Failure).error.code;

export async function assertHealthy({ readPath }: ControlBed): Promise<void> {
  assert.equal((await ask(readPath, { path: "/v1/status" })).status, 200);
}
