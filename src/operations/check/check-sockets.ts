import { stat } from "node:fs/promises";
import type { Settings } from "../../config/config.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** Whoever may write to the admin socket may restore and delete. */
export async function checkSockets({ socketPath, statusSocketPath }: Settings): Promise<readonly Finding[]> {
  return [...(await checkSocket(socketPath, "admin")), ...(await checkSocket(statusSocketPath, "status"))];
}

async function checkSocket(path: string, access: "admin" | "status"): Promise<readonly Finding[]> {
  const what = `${access} socket ${path}`;
  const stats = await stat(path).catch(() => undefined); // no daemon: told elsewhere
  if (stats === undefined) return [];
  if (!stats.isSocket()) return [fail(what, "is not a socket", `rm ${path}`)];
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
  if (access === "admin" && (stats.mode & 0o007) !== 0) return [fail(what, `everybody may use it (mode ${mode})`, `chmod o-rwx ${path}`)];
  return [
    (stats.mode & 0o060) === 0 && access === "status" ? warn(what, `only its owner may use it (mode ${mode})`) : ok(what, `mode ${mode}`),
  ];
}
