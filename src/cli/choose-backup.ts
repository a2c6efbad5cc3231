import { describeAge, describeBytes } from "../base/describe-amount.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { ControlClient } from "../control/client.ts";
import { askChoice } from "./ask.ts";
import { listStates } from "./describe-backup.ts";
import { pickScope, type ScopeOptions } from "./pick-scope.ts";
import type { VerbContext } from "./verb.ts";

export interface ChosenBackup {
  readonly text: string;
  readonly scope: ScopeOptions;
}

/** P5: pick from a list. */
export async function chooseBackup(client: ControlClient, options: ScopeOptions, { terminal, signal }: VerbContext): Promise<ChosenBackup> {
  if (terminal.canAsk === "no") {
    throw new HoldfastError("usage", "Which backup is to be restored?", {
      hint: "`holdfast restore latest` takes the newest good one; `holdfast list` shows all.",
    });
  }
  const query = new URLSearchParams({ limit: "50", class: "backup", ...pickScope(options) });
  const backups = await client.send<readonly CatalogBackup[]>({ method: "GET", path: `/backups?${query.toString()}` }, signal);
  const there = backups.filter(({ missingSinceMs }) => missingSinceMs === null);
  if (there.length === 0)
    throw new HoldfastError("backup-not-found", "There is no backup to restore", { hint: "`holdfast status` tells why." });
  const choices = there.map((backup) => ({
    name: `${backup.name}  ${describeAge(Date.now() - backup.createdAtMs)} old  ${describeBytes(backup.storedBytes)}  ${listStates(backup).join(", ")}`,
    value: { text: backup.id, scope: { destination: backup.destination } },
    description: `job ${backup.job}, at ${backup.destination}${backup.note === null ? "" : `: ${backup.note}`}`,
  }));
  return await askChoice<ChosenBackup>("Which backup?", choices, signal);
}
