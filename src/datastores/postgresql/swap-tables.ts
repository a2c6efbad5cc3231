import type { Server } from "./restore-sql.ts";
import type { TablesStep } from "./swap-steps.ts";
export async function undoTables(_server: Server, _step: TablesStep, _signal: AbortSignal): Promise<void> {}
export async function dropAsideTables(_server: Server, _step: TablesStep, _signal: AbortSignal): Promise<void> {}
