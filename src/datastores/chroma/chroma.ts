import type { DatastoreDriver } from "../contract.ts";
import { defineDatastore } from "../define-datastore.ts";
import { selectInTree } from "../trees/select-in-tree.ts";
import { rollBackSteps, settleSteps } from "../trees/swap-steps.ts";
import { isApiSwap, rollBackApi, settleApi } from "./api-steps.ts";
import { listKnownPaths } from "../volume.ts";
import { checkStored } from "./check.ts";
import { createChromaDatastore } from "./datastore.ts";
import { chromaOptions } from "./options.ts";
import { deriveOptions, hasPath, identifyChroma } from "./source.ts";

export const chromaDriver: DatastoreDriver = defineDatastore({
  kind: "chroma",
  description: "A Chroma server: its data directory, copied while it works, or its collections through its API.",
  options: chromaOptions,
  waysToCopy: (options) => (hasPath(options) ? ["live", "paused", "stopped"] : ["live"]),
  restoresStopped: hasPath,
  sourcePaths: ({ path }) => (path === undefined ? [] : listKnownPaths(path)),
  identify: identifyChroma,
  open: (options, context) => Promise.resolve(createChromaDatastore(options, context)),
  deriveOptions,
  check: checkStored,
  selectInTree,
  rollBack: (steps, signal, options) => (isApiSwap(steps) ? rollBackApi(steps, signal, options) : rollBackSteps(steps, signal)),
  settle: (steps, signal, options) => (isApiSwap(steps) ? settleApi(steps, signal, options) : settleSteps(steps, signal)),
});
