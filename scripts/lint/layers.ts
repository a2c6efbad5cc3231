import { dirname, join, relative, sep } from "node:path";

/**
 * The import rule of src/ in one table, highest row first. A room (or main.ts) imports only rooms of strictly lower rows;
 * rooms of one row are strangers. Type imports count.
 */
export const rows: readonly (readonly string[])[] = [
  ["main"],
  ["cli"],
  ["daemon"],
  ["control"],
  ["operations"],
  ["worker"],
  ["config"],
  ["archive", "catalog", "datastores", "destinations", "queue", "telemetry"],
  ["schedule", "retention"],
  ["base"],
];

/** Rooms whose subfolders are drivers: a driver sees its own folder and the room's contract, and only the registry sees inside drivers. */
export const driverRooms: readonly string[] = ["datastores", "destinations"];

/** Folders of those rooms that are no drivers: what several drivers are made of. They see no driver and no registry. */
export const sharedFolders: readonly string[] = ["sqlite-files", "trees"];

/** Where a file under src/ stands. */
interface Place {
  readonly room: string;
  readonly row: number;
  /** The driver's folder, for files inside one. */
  readonly driver: string | undefined;
  /** In a folder that several drivers share. */
  readonly isShared: boolean;
  readonly isRegistry: boolean;
}

/**
 * Says why an import breaks the rule; undefined when it keeps it.
 * @param root the folder that holds src/
 * @param importer absolute path of the importing file
 * @param specifier as written in the import; only relative ones are judged, packages are free to all
 */
export function findBreach(root: string, importer: string, specifier: string): string | undefined {
  const from = split(root, importer);
  if (from[0] !== "src" || !specifier.startsWith(".")) return undefined;
  const to = split(root, join(dirname(importer), specifier));
  const isTest = from.at(-1)?.endsWith(".test.ts") === true;
  if (to[0] !== "src") {
    if (isTest && to[0] === "test" && to[1] === "support") return undefined;
    return `src/ may not import ${to.join("/")}${isTest ? " (a unit test may import test/support)" : ""}`;
  }
  const here = locate(from);
  if (here === undefined) return `${from.join("/")} belongs to no room: add its folder to scripts/lint/layers.ts`;
  const there = locate(to);
  if (there === undefined) return `${to.join("/")} belongs to no room: add its folder to scripts/lint/layers.ts`;
  if (here.room === there.room) return findDriverBreach(here, there);
  if (there.row <= here.row) return `${here.room} may not import ${there.room}: only rooms of lower rows (${describeLower(here.row)})`;
  if (there.isShared) return `${here.room} may not import what the drivers of ${there.room} share`;
  if (there.driver !== undefined)
    return `${here.room} may not import the driver ${there.room}/${there.driver}: only ${there.room}/registry.ts may`;
  return undefined;
}

function findDriverBreach(here: Place, there: Place): string | undefined {
  if (here.isShared && there.isRegistry) return `what the drivers of ${here.room} share may not import its registry`;
  if (here.driver === undefined) {
    if (there.driver === undefined || here.isRegistry) return undefined;
    return `only ${here.room}/registry.ts may import the driver ${there.room}/${there.driver}`;
  }
  if (there.driver === undefined) {
    return there.isRegistry ? `the driver ${here.room}/${here.driver} may not import its room's registry` : undefined;
  }
  return here.driver === there.driver
    ? undefined
    : `the driver ${here.room}/${here.driver} may not import the driver ${there.room}/${there.driver}`;
}

function locate(path: readonly string[]): Place | undefined {
  const name = path.at(-1) ?? "";
  const room = path.length === 2 ? name.replace(/(\.test)?\.ts$/, "") : (path[1] ?? "");
  const row = rows.findIndex((rooms) => rooms.includes(room));
  if (row === -1) return undefined;
  const folder = driverRooms.includes(room) && path.length > 3 ? path[2] : undefined;
  const isShared = folder !== undefined && sharedFolders.includes(folder);
  const driver = isShared ? undefined : folder;
  return { room, row, driver, isShared, isRegistry: driver === undefined && /^registry(\.test)?\.ts$/.test(name) };
}

function describeLower(row: number): string {
  return (
    rows
      .slice(row + 1)
      .flat()
      .join(", ") || "there are none"
  );
}

function split(root: string, path: string): readonly string[] {
  return relative(root, path).split(sep);
}
