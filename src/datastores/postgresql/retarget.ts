import { HoldfastError } from "../../base/errors.ts";
import type { OtherName, Retarget } from "../retarget.ts";
import type { PostgresqlOptions } from "./options.ts";
import { describeAddress, resolveConnection } from "./connection.ts";
import { quoteName } from "./quote-sql.ts";
import { createScratchName, isSideName } from "./restore-names.ts";
import { readsManyDatabases } from "./server-facts.ts";

/** PostgreSQL cuts longer names without a word. */
const nameBytes = 63;
const everyServerHas = ["postgres", "template0", "template1"];

/** The same server and role, another database: one that is to be made. @throws usage */
export function retargetDatabase(options: PostgresqlOptions, to: OtherName): Retarget {
  if (readsManyDatabases(options) || options.format === "cluster") {
    throw new HoldfastError("usage", "the datastore means several databases, and each goes back under its own name", {
      hint: "Restore into files instead (--to /DIRECTORY), or with a datastore of one database.",
    });
  }
  const connection = resolveConnection(options, "restore");
  const { database = "database" } = connection;
  const name = to.kind === "named" ? requireName(to.name) : createScratchName(database, to.id);
  const { restoreConnection } = options;
  return {
    changes: {
      database: name,
      ...(restoreConnection === undefined ? {} : { restoreConnection: { ...restoreConnection, database: name } }),
    },
    name,
    access: `psql '${describeAddress(connection, name).replaceAll("'", "%27")}'`,
    removal: `DROP DATABASE ${quoteName(name)}`,
  };
}

function requireName(name: string): string {
  const problem =
    name === "" || name.includes("\0")
      ? "is no name"
      : Buffer.byteLength(name) > nameBytes
        ? `is longer than ${nameBytes} bytes`
        : everyServerHas.includes(name)
          ? "is one that every server has"
          : isSideName(name)
            ? "is a name of the kind that restores give for a while"
            : undefined;
  if (problem === undefined) return name;
  throw new HoldfastError("usage", `${JSON.stringify(name)} cannot be the name of a new database: it ${problem}`);
}
