import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { makeTestDirectory } from "./datastore.ts";

/** Runs a script to its end, which any failing command is; gives its output, a character for each byte. */
export function runShell(script: string, cwd: string): string {
  return execFileSync("bash", ["-euc", script], { cwd, encoding: "latin1", stdio: ["ignore", "pipe", "ignore"] });
}

/** A directory that a script has filled, in a test directory of its own. */
export function makeRoot(t: TestContext, script: string): { readonly base: string; readonly root: string } {
  const base = makeTestDirectory(t);
  const root = join(base, "root");
  mkdirSync(root);
  runShell(script, root);
  return { base, root };
}

/** Unlike t.after it acts before the test's directory is removed. */
export function onExit(act: () => unknown): Disposable {
  return { [Symbol.dispose]: () => void act() };
}

/** What an independent walker sees: names, types, modes, owners, links, times, bytes, attributes, ACLs. */
export function listTree(directory: string): readonly string[] {
  return runShell(
    `find . -mindepth 1 -printf '%P\\t%y\\t%m\\t%U:%G\\t%l\\t%n\\t' \\( -type f -printf '%s\\t%T@' -o -true \\) -printf '\\0' | sort -z | tr '\\0' '\\n'
     find . -type f -size -1000M -execdir sha256sum '{}' ';' | sort
     find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m - -- 2>/dev/null || true
     find . ! -type l -print0 | sort -z | xargs -0 -r getfacl -n -- 2>/dev/null || true`,
    directory,
  ).split("\n");
}
