import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface StandInContainer {
  readonly container: string;
  /** PATH within. */
  readonly path: string;
  /** All else that programs within find in their environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Puts an executable into PATH, for the rest of the test, that stands in for the Docker client in front of the programs of this machine:
 * `docker exec -i` and `docker compose exec -T` with their arguments, variables by name, streams and exit statuses. It refuses to run without
 * `-T` or `-i`, as the client does without a terminal. Gives where it notes its calls.
 */
export function putDockerStandIn(t: TestContext, { container, path, env }: StandInContainer): { readonly log: string } {
  const directory = mkdtempSync(join(tmpdir(), "docker-"));
  chmodSync(directory, 0o755);
  const log = join(directory, "calls");
  const program = join(import.meta.dirname, "../fixtures/programs/docker-stand-in.ts");
  const settings = JSON.stringify({ container, log, path, env });
  writeFileSync(join(directory, "docker"), `#!/bin/sh\nexec ${process.execPath} ${program} '${settings}' "$@"\n`, { mode: 0o755 });
  const before = process.env["PATH"];
  process.env["PATH"] = `${directory}:${before ?? ""}`;
  t.after(() => {
    process.env["PATH"] = before;
    rmSync(directory, { recursive: true, force: true });
  });
  return { log };
}
