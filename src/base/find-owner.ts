import { HoldfastError } from "./errors.ts";
import { runProgram } from "./subprocess.ts";

/** Of a file. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * @param text "user:group", names or numbers; names are asked of the system's name services
 * @throws config-invalid for a name that nobody has
 */
export async function findOwner(text: string): Promise<Owner> {
  const [user = "", group = ""] = text.split(":");
  return { uid: await findId("passwd", user, text), gid: await findId("group", group, text) };
}

async function findId(database: "passwd" | "group", name: string, text: string): Promise<number> {
  if (/^\d+$/.test(name)) return Number(name);
  const { stdout } = await runProgram("getent", [database, "--", name], { accept: [0, 2] }, AbortSignal.timeout(10_000));
  const id = stdout.split(":")[2];
  if (id === undefined)
    throw new HoldfastError("config-invalid", `owner "${text}": there is no ${database === "passwd" ? "user" : "group"} "${name}"`);
  return Number(id);
}
