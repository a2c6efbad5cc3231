import { HoldfastError } from "../base/errors.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { Held } from "./choose-members.ts";
import type { PartsRequest } from "./parts.ts";

const nouns = { tables: "table", paths: "path" } as const;
const options = { tables: "--table", paths: "--path" } as const;

/** Refuses parts where a restore of them alone cannot be meant or made. @throws usage */
export function assertParts(members: readonly Held[], request: PartsRequest): void {
  const { tables, paths } = request;
  if (tables === undefined && paths === undefined) return;
  if (tables !== undefined && paths !== undefined)
    throw new HoldfastError("usage", "Either tables are restored or paths, not both", { hint: "Say --table, or --path." });
  const wanted = tables === undefined ? "paths" : "tables";
  const [member] = members;
  if (member === undefined || members.length > 1) {
    throw new HoldfastError("usage", `Single ${wanted} are restored of one datastore, and the backup has ${members.length}`, {
      hint: `Say which: ${members.map(({ datastore }) => `--only ${datastore}`).join(", or ")}.`,
    });
  }
  const able = findDatastoreDriver(member.kind).parts;
  if (able !== wanted) {
    throw new HoldfastError(
      "usage",
      `Of "${member.datastore}" no single ${nouns[wanted]} can be restored: it is of the kind ${member.kind}`,
      {
        hint:
          able === undefined
            ? "Restore all of it; or take over what is needed from a copy: `holdfast extract`."
            : `Of this kind single ${able} can be: ${options[able]}.`,
      },
    );
  }
  if (member.status === "absent") throw new HoldfastError("usage", `"${member.datastore}" was not there when the backup was made`);
}
