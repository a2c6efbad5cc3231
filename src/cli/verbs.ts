import type { Verb } from "./verb.ts";
import { backupVerb } from "./verb-backup.ts";
import { daemonVerb } from "./verb-daemon.ts";
import { destinationVerb } from "./verb-destination.ts";
import { drillVerb, verifyVerb } from "./verb-prove.ts";
import { listVerb } from "./verb-list.ts";
import { statusVerb } from "./verb-status.ts";

/** Every verb, in the order of the help. */
export const verbs: readonly Verb[] = [backupVerb, statusVerb, listVerb, verifyVerb, drillVerb, destinationVerb, daemonVerb];
