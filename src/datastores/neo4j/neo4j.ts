import { basename, dirname } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { pickFields } from "../../base/pick-defined.ts";
import type { DatastoreDriver } from "../contract.ts";
import { defineDatastore } from "../define-datastore.ts";
import { selectInTree } from "../trees/select-in-tree.ts";
import { rollBackSteps, settleSteps } from "../trees/swap-steps.ts";
import { listKnownPaths } from "../volume.ts";
import { checkEntries } from "./check-entries.ts";
import { Neo4jDatastore } from "./datastore.ts";
import { neo4jOptions, type Neo4jOptions } from "./options.ts";
import { identifyStore, listPlaces } from "./store-places.ts";

/** What tells of the programs on this machine, and of nothing else. */
const toolOptions = ["home", "java", "heap", "pageCache", "startTimeout"];

export const neo4jDriver: DatastoreDriver = defineDatastore<Neo4jOptions>({
  kind: "neo4j",
  description: "A Neo4j database, copied while its server is stopped or paused, checked and counted by a server of our own.",
  options: neo4jOptions,
  waysToCopy: ({ method }) => (method === "online" ? ["live"] : ["stopped", "paused"]),
  restoresStopped: () => true,
  sourcePaths: (options) => listKnownPaths(options.data).flatMap((data) => listPlaces(data, options)),
  identify: identifyStore,
  open: (options, context) => Promise.resolve(new Neo4jDatastore(options, context)),
  deriveOptions(entries, own) {
    const [first] = entries;
    if (first === undefined)
      throw new HoldfastError("config-missing", "Cannot tell where an empty backup came from", {
        hint: "Give the config of the datastore.",
      });
    const tools = pickFields(own, toolOptions);
    if (first.form === "tree")
      return { ...tools, ...pickFields(own, ["prove"]), data: first.sourcePath, method: "archive", entry: basename(first.name, ".tar") };
    const [, entry = "neo4j_backup"] = /^(.+)\.(?:dump|backup)$/.exec(basename(first.name)) ?? [];
    return { ...tools, data: dirname(dirname(first.sourcePath)), database: basename(first.sourcePath), entry };
  },
  check: checkEntries,
  selectInTree,
  rollBack: rollBackSteps,
  settle: settleSteps,
});
