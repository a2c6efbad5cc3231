import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { findProgram } from "../../base/find-program.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { Config } from "../../config/config.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { findLocalPath, isInside, listSourcePaths, resolveReal } from "./local-places.ts";

/** Directories that the unit has anyway. */
const ownDirectories = ["/var/lib/holdfast", "/run/holdfast", "/etc/holdfast"];

/** What the daemon must be able to write to besides its own directories: destinations, and the sources that restores replace. */
export function listWritablePaths(config: Config): readonly string[] {
  const { stateDir, runtimeDir, stagingDir } = config.settings;
  const sources = [...config.datastores.values()].flatMap((datastore) => listSourcePaths(datastore));
  // A restore renames beside what it replaces.
  const wanted = [
    ...[...config.destinations.values()].flatMap((destination) => findLocalPath(destination) ?? []),
    ...[...config.jobs.values()].flatMap(({ fixedCopies }) => fixedCopies.map(({ path }) => dirname(path))),
    ...sources.map((path) => dirname(path.replace(/\/\.?$/, ""))),
    stateDir,
    runtimeDir,
    stagingDir,
  ].map(resolveReal);
  const needed = [...new Set(wanted)].filter((path) => !ownDirectories.some((own) => isInside(path, own)));
  return needed.filter((path) => !needed.some((other) => other !== path && isInside(path, other))).toSorted();
}

/** The drop-in that the config needs. A leading "-" leaves out what is not there. */
export function describeDropIn(config: Config): readonly string[] {
  const paths = listWritablePaths(config);
  const isHome = paths.some((path) => /^\/(home|root|run\/user)(\/|$)/.test(path));
  const isTemporary = paths.some((path) => /^\/(var\/)?tmp(\/|$)/.test(path));
  return [
    "# /etc/systemd/system/holdfast.service.d/paths.conf",
    "[Service]",
    ...paths.map((path) => `ReadWritePaths="-${path.replaceAll("%", "%%").replaceAll('"', String.raw`\"`)}"`),
    ...(isHome ? ["ProtectHome=no"] : []),
    ...(isTemporary ? ["PrivateTmp=no"] : []),
  ];
}

/** Compares the installed unit's sandbox with what the config needs. */
export async function checkUnit(config: Config, signal: AbortSignal): Promise<readonly Finding[]> {
  const shown = await showUnit(signal);
  if (shown === undefined) return [];
  if (shown.get("LoadState") !== "loaded") return [warn("unit", "holdfast.service is not installed", "scripts/install installs it.")];
  const findings: Finding[] = [];
  if (shown.get("ProtectSystem") === "strict") {
    const open = (shown.get("ReadWritePaths") ?? "").split(" ").map((path) => path.replace(/^[-+]+/, "").replaceAll('"', ""));
    const closed = listWritablePaths(config).filter((path) => !open.some((each) => each !== "" && isInside(path, resolveReal(each))));
    if (closed.length > 0)
      findings.push(
        fail(
          "unit",
          `the service may not write to ${closed.join(", ")}`,
          "`holdfast check --verbose` prints the drop-in; then systemctl daemon-reload.",
        ),
      );
  }
  if (shown.get("PrivateTmp") === "yes" && listWritablePaths(config).some((path) => /^\/(var\/)?tmp(\/|$)/.test(path)))
    findings.push(
      fail(
        "unit",
        "the config names paths below /tmp, and the service sees a /tmp of its own",
        "Move them; or PrivateTmp=no in a drop-in.",
      ),
    );
  return findings.length > 0 ? findings : [ok("unit", "its sandbox leaves open what the config needs")];
}

/** Properties of the installed unit; undefined where systemd does not run. */
export async function showUnit(signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined> {
  if (!existsSync("/run/systemd/system") || findProgram("systemctl") === undefined) return undefined;
  const properties =
    "LoadState,ActiveState,SubState,UnitFileState,NRestarts,ProtectSystem,ProtectHome,PrivateTmp,ReadWritePaths,StatusText";
  try {
    const { stdout } = await runProgram(
      "systemctl",
      ["show", "holdfast.service", `--property=${properties}`],
      { timeoutMs: 10_000 },
      signal,
    );
    return new Map(
      stdout.split("\n").flatMap((line) => {
        const at = line.indexOf("=");
        return at === -1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
      }),
    );
  } catch {
    signal.throwIfAborted();
    return undefined; // no answer from systemd: in a container its directory may be there without it
  }
}
