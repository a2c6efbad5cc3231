import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { makeDirectory, writeFileAtomically } from "../../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { createId } from "../../base/ids.ts";
import { markerName } from "./names.ts";
import type { Place } from "./place.ts";

const markerSchema = z.object({ format: z.literal(1), id: z.string().min(1), name: z.string(), createdAt: z.string() });

type Marker = z.infer<typeof markerSchema>;

/** The marker; undefined when there is none, `damaged` when there is something else under its name. */
export async function readMarker(place: Place): Promise<Marker | "damaged" | undefined> {
  return await place.attempt("read the marker", async () => {
    let text: string;
    try {
      text = await readFile(join(place.root, markerName), "utf8");
    } catch (error) {
      if (readErrno(error) !== "ENOENT") throw error;
      await place.requireRoot();
      return undefined;
    }
    try {
      return markerSchema.parse(JSON.parse(text));
    } catch {
      return "damaged";
    }
  });
}

/** @throws destination-missing, destination-unmarked, destination-foreign */
export async function requireMarker(place: Place): Promise<Marker> {
  const marker = await readMarker(place);
  const { name } = place.settings;
  if (marker === undefined) {
    throw new HoldfastError(
      "destination-unmarked",
      `Nothing is written to ${place.describe()}: it has no marker, so it may be the mount point of a disk that is not mounted`,
      {
        hint: `Mount the disk; or, when this is the right directory: holdfast destination init ${name}`,
        details: { directory: place.root },
      },
    );
  }
  return assertOurs(place, marker);
}

function assertOurs(place: Place, marker: Marker | "damaged"): Marker {
  const { name } = place.settings;
  if (marker === "damaged") {
    throw new HoldfastError("destination-foreign", `The marker of ${place.describe()} cannot be read`, {
      hint: `Look at ${join(place.root, markerName)}; to write a new one: holdfast destination adopt ${name}`,
    });
  }
  if (marker.name === name) return marker;
  throw new HoldfastError("destination-foreign", `The directory of ${place.describe()} belongs to a destination named "${marker.name}"`, {
    hint: `Use another directory, or name the destination "${marker.name}" in the config.`,
    details: { directory: place.root, name: marker.name },
  });
}

/** Makes the directory and its marker. Again for the same name it changes nothing. */
export async function writeMarker(place: Place, mode: "init" | "adopt"): Promise<void> {
  await place.attempt("write the marker", async () => {
    await makeRoot(place);
    const present = await readMarker(place);
    if (present !== undefined && !(present === "damaged" && mode === "adopt")) {
      assertOurs(place, present);
      return;
    }
    if (mode === "init") await refuseForeign(place);
    const marker: Marker = { format: 1, id: createId(Date.now()), name: place.settings.name, createdAt: new Date().toISOString() };
    const path = join(place.root, markerName);
    await writeFileAtomically(path, `${JSON.stringify(marker, null, 2)}\n`, place.settings.fileMode);
    await using file = await open(path, "r");
    await place.finishFile(file);
  });
}

async function makeRoot(place: Place): Promise<void> {
  try {
    await place.requireRoot();
  } catch (error) {
    if (!(error instanceof HoldfastError && error.code === "destination-missing")) throw error;
    await makeDirectory(place.root, place.settings.directoryMode);
    await place.dressDirectory(place.root);
  }
}

async function refuseForeign(place: Place): Promise<void> {
  const entries = (await readdir(place.root)).filter((name) => name !== "lost+found" && !name.startsWith(`.${markerName}.`));
  if (entries.length === 0) return;
  throw new HoldfastError("refused", `The directory of ${place.describe()} is not empty and has no marker`, {
    hint: `To keep what is there and use it: holdfast destination adopt ${place.settings.name}`,
    details: { directory: place.root, entries: entries.slice(0, 5) },
  });
}
