import type { Check, Hook } from "../config/config.ts";
import type { RestoreServices } from "./restore-services.ts";
import type { QueriedDatastore } from "./run-check.ts";
import type { BackupSetup, Surroundings } from "./setup.ts";
import type { BackupAddress } from "./verify.ts";

export interface RestoreMember {
  readonly datastore: string;
  /** From the config; without a config what the driver derives from the manifest is taken. */
  readonly options: unknown;
  /** The member of the backup that goes there, where it has another name. */
  readonly from?: string;
  /** A database of this name is made, and nothing that is there is touched. */
  readonly mustBeNew?: string;
}

export interface RestoreSetup extends Surroundings {
  readonly restoreId: string;
  readonly address: BackupAddress;
  readonly job: string;
  readonly members: readonly RestoreMember[];
  readonly stop: readonly Hook[];
  readonly start: readonly Hook[];
  /** Servers of the data: stopped after `stop`, and started before `start` whatever that holds. */
  readonly services?: RestoreServices;
  /** Where what stands still for backups is written down. */
  readonly holdsDir?: string;
  readonly check: readonly Check[];
  /** What checks by SQL are asked of, by name. */
  readonly queried?: readonly QueriedDatastore[];
  /** Whether the restored data stays when a check fails; `no` by default. */
  readonly keep?: "yes" | "no";
  readonly journalDir: string;
  /** Where restores that others make have theirs: what is unfinished there is put back later, over whatever is there then. */
  readonly otherJournalDirs?: readonly string[];
  /** How the present data is saved first. */
  readonly preRestore: BackupSetup;
  /** `raw`: where the present data cannot be backed up (damaged) it is left aside as it is, after an explicit word. */
  readonly unsavable: "refuse" | "raw";
  /** Why the backup may not belong there: refused where something is replaced. */
  readonly origin?: readonly string[];
  /** Only these of the one member, the rest of it untouched. */
  readonly parts?: readonly string[];
  /** How many datastores are staged side by side at most. */
  readonly lanes?: number;
}
