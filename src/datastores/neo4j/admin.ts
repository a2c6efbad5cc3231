import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { openProgram } from "../../base/subprocess.ts";
import { explainToolError } from "./explain-error.ts";
import type { Neo4jOptions } from "./options.ts";
import { listJavaArguments, type Workplace } from "./tools.ts";

export interface Admin {
  readonly options: Neo4jOptions;
  readonly home: string;
  readonly place: Workplace;
}

const adminClass = "org.neo4j.cli.AdminTool";
const keptChars = 4_000;

function describeEnvironment({ home, place }: Admin): Record<string, string> {
  return { NEO4J_HOME: home, NEO4J_CONF: join(place.directory, "conf") };
}

/** Runs a command of neo4j-admin to its end. @param what of the task, for the message: `Cannot dump "graph"` */
export async function runAdmin(admin: Admin, args: readonly string[], what: string, signal: AbortSignal): Promise<string> {
  let output = "";
  try {
    await using program = openProgram(
      admin.options.java,
      [...listJavaArguments(admin.options, admin.home, admin.place, adminClass), ...args],
      { env: describeEnvironment(admin), cwd: admin.place.directory },
      signal,
    );
    program.stdout?.setEncoding("utf8");
    for await (const text of program.stdout ?? []) output = (output + String(text)).slice(-keptChars);
    await program.finished;
    return output;
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "tool-failed")
      throw explainToolError(new HoldfastError(error.code, error.message, { details: { ...error.details, output } }), what);
    throw explainToolError(error, what);
  }
}
