import { HoldfastError } from "../../base/errors.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { Owner } from "./place.ts";

/** @param text "user:group", names or numbers; names are asked of the system's name services */
export async function findOwner(text: string): Promise<Owner> {
  const [user = "", group = ""] = text.split(":");
  return { uid: await findId("passwd", user, text), gid: await findId("group", group, text) };
}

async function findId(database: "passwd" | "group", name: string, text: string): Promise<number> {
  if (/^\d+$/.test(name)) return Number(name);
  const { stdout } = await runProgram("getent", [database, name], { accept: [0, 2] }, AbortSignal.timeout(10_000));
  const id = stdout.split(":")[2];
  if (id === undefined)
    throw new HoldfastError(
      "config-invalid",
      `Owner "${text}" of a local destination: there is no ${database === "passwd" ? "user" : "group"} "${name}"`,
    );
  return Number(id);
}
