import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isMap, isScalar, parseDocument, visit } from "yaml";
import { readErrno } from "../../base/errors.ts";
import type { Config } from "../../config/config.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** Whoever may write the config runs commands as the daemon; whoever may read a secret's file has the secret. */
export async function checkConfigFiles(config: Config): Promise<readonly Finding[]> {
  const files = await listConfigFiles(config.path);
  const findings: Finding[] = [];
  for (const path of files) findings.push(await checkWriters(path));
  const secrets = new Set<string>();
  for (const path of files) for (const secret of await listSecretFiles(path)) secrets.add(secret);
  for (const path of secrets) findings.push(await checkReaders(path));
  return findings;
}

async function listConfigFiles(main: string): Promise<readonly string[]> {
  const folder = join(dirname(main), "conf.d");
  const names = await readdir(folder).catch((error: unknown) => {
    if (readErrno(error) === "ENOENT" || readErrno(error) === "ENOTDIR") return [];
    throw error;
  });
  const parts = names.filter((name) => /^[^.].*\.ya?ml$/.test(name)).toSorted();
  return [main, ...parts.map((name) => join(folder, name))];
}

async function checkWriters(path: string): Promise<Finding> {
  const { mode, uid } = await stat(path);
  const what = `config file ${path}`;
  if ((mode & 0o022) !== 0) return fail(what, `others may change it (mode ${formatMode(mode)})`, `chmod go-w ${path}`);
  if (uid !== 0 && process.geteuid?.() === 0)
    return warn(what, `it belongs to uid ${uid}, who can run commands as root through it`, `chown root ${path}`);
  return ok(what, `mode ${formatMode(mode)}`);
}

/** The files of `{file: PATH}` values. */
async function listSecretFiles(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  visit(parseDocument(await readFile(path, "utf8")), {
    Map(_, node) {
      if (!isMap(node) || node.items.length > 2) return;
      const value = node.get("file", true);
      if (isScalar(value) && typeof value.value === "string") found.push(resolve(dirname(path), value.value));
    },
  });
  return found;
}

async function checkReaders(path: string): Promise<Finding> {
  const what = `secret file ${path}`;
  try {
    const { mode } = await stat(path);
    if ((mode & 0o022) !== 0) return fail(what, `others may change it (mode ${formatMode(mode)})`, `chmod go-rwx ${path}`);
    if ((mode & 0o004) !== 0) return warn(what, `everybody may read it (mode ${formatMode(mode)})`, `chmod go-rwx ${path}`);
    return ok(what, `mode ${formatMode(mode)}`);
  } catch (error) {
    return fail(what, `it cannot be read: ${readErrno(error) ?? "unknown"}`);
  }
}

const formatMode = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0");
