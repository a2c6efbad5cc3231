import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const examples = fileURLToPath(new URL("../../config/examples/", import.meta.url));

export interface ExampleChanges {
  /** What stands in the example, paths and addresses that cannot be used here, and what is put in its place. */
  readonly replace: Readonly<Record<string, string>>;
  /** A unit's name and the directory of the application that stands in for it: there is no systemd here. */
  readonly units?: Readonly<Record<string, string>>;
}

/** An example config as it is shipped, on other paths. @throws when something to replace does not stand in it */
export async function readExample(name: string, { replace, units = {} }: ExampleChanges): Promise<string> {
  let text = await readFile(join(examples, `${name}.yaml`), "utf8");
  for (const [found, put] of Object.entries(replace)) text = substitute(text, found, put);
  let action = "";
  return text
    .split("\n")
    .map((line) => {
      action = /^ +(stop|start):$/.exec(line)?.[1] ?? action;
      const unit = /^ +- unit: (\S+)$/.exec(line)?.[1];
      const dir = unit === undefined ? undefined : units[unit];
      if (unit !== undefined && dir === undefined) throw new Error(`nothing stands in for ${unit}`);
      return dir === undefined ? line : line.replace(/unit: .*/, `command: ${JSON.stringify([...applicationCommand(action), dir])}`);
    })
    .join("\n");
}

/** Like replaceAll, and an error when there is nothing to replace. */
export function substitute(text: string, found: string, put: string): string {
  if (!text.includes(found)) throw new Error(`the config has no ${found}`);
  return text.replaceAll(found, put);
}

/** The command that starts or stops a live application, without its directory. */
export function applicationCommand(action: string): readonly string[] {
  return [process.execPath, fileURLToPath(new URL("../fixtures/programs/live-application.ts", import.meta.url)), action];
}

/** A directory that other accounts can enter, removed when closed. */
export async function makeSite(): Promise<AsyncDisposable & { readonly dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), "s-"));
  await chmod(dir, 0o755);
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true, maxRetries: 3 }) };
}
