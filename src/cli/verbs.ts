import type { Verb } from "./verb.ts";
import { backupVerb } from "./verb-backup.ts";
import { cancelVerb } from "./verb-cancel.ts";
import { checkVerb } from "./verb-check.ts";
import { completionVerb } from "./verb-completion.ts";
import { copyVerb } from "./verb-copy.ts";
import { daemonVerb } from "./verb-daemon.ts";
import { deleteVerb } from "./verb-delete.ts";
import { destinationVerb } from "./verb-destination.ts";
import { doctorVerb } from "./verb-doctor.ts";
import { extractVerb } from "./verb-extract.ts";
import { initVerb } from "./verb-init.ts";
import { jobsVerb } from "./verb-jobs.ts";
import { listVerb } from "./verb-list.ts";
import { acceptVerb, pinVerb, unpinVerb } from "./verb-mark.ts";
import { notifyTestVerb } from "./verb-notify-test.ts";
import { pauseVerb, resumeVerb } from "./verb-pause.ts";
import { drillVerb, verifyVerb } from "./verb-prove.ts";
import { pruneVerb } from "./verb-prune.ts";
import { rebuildVerb } from "./verb-rebuild.ts";
import { reloadVerb } from "./verb-reload.ts";
import { reportVerb } from "./verb-report.ts";
import { reportFailureVerb } from "./verb-report-failure.ts";
import { restoreVerb } from "./verb-restore.ts";
import { runsVerb } from "./verb-runs.ts";
import { scratchVerb } from "./verb-scratch.ts";
import { showVerb } from "./verb-show.ts";
import { statusVerb } from "./verb-status.ts";
import { undoVerb } from "./verb-undo.ts";
import { watchVerb } from "./verb-watch.ts";

/** Every verb, in the order of the help: looking, backing up, bringing back, keeping, the daemon, setting up. */
export const verbs: readonly Verb[] = [
  statusVerb,
  jobsVerb,
  runsVerb,
  listVerb,
  showVerb,
  reportVerb,
  watchVerb,
  backupVerb,
  verifyVerb,
  drillVerb,
  copyVerb,
  restoreVerb,
  extractVerb,
  undoVerb,
  scratchVerb,
  pruneVerb,
  deleteVerb,
  pinVerb,
  unpinVerb,
  acceptVerb,
  pauseVerb,
  resumeVerb,
  cancelVerb,
  reloadVerb,
  rebuildVerb,
  initVerb,
  checkVerb,
  doctorVerb,
  destinationVerb,
  notifyTestVerb,
  completionVerb,
  daemonVerb,
  reportFailureVerb,
];
