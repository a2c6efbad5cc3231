import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Recovered } from "../contract.ts";
import { assertNotAborted } from "../interrupt.ts";
import { readDescriptor } from "./descriptor.ts";
import { discard, expose, isExposable, isPublished, retract, type Staged } from "./exposure.ts";
import { isLitter, parseStagingName } from "./names.ts";
import { lookUp, type Place } from "./place.ts";
import { listNames, walkVisible } from "./walk.ts";

/** Mends every folder: finishes or removes what is hidden in it. */
export async function recoverPlace(place: Place, isActive: (id: string) => boolean, signal: AbortSignal): Promise<readonly Recovered[]> {
  const folders = [""];
  for await (const { key, stats } of walkVisible(place, "", signal)) if (stats.isDirectory()) folders.push(key);
  const recovered: Recovered[] = [];
  for (const folder of folders) {
    assertNotAborted(signal);
    await place.attempt(`recover ${folder === "" ? "the destination" : folder}`, async () => {
      recovered.push(...(await recoverFolder(place, folder, isActive)));
    });
  }
  return recovered;
}

async function recoverFolder(place: Place, folder: string, isActive: (id: string) => boolean): Promise<readonly Recovered[]> {
  const path = place.pathOf(folder);
  const recovered: Recovered[] = [];
  for (const name of await listNames(path)) {
    const id = parseStagingName(name);
    if (id !== undefined && !isActive(id) && (await lookUp(join(path, name)))?.isDirectory() === true) {
      recovered.push(await recoverPublication(place, folder, join(path, name), id));
    } else if (isLitter(name)) await rm(join(path, name), { recursive: true, force: true });
  }
  return recovered;
}

async function recoverPublication(place: Place, folder: string, staging: string, id: string): Promise<Recovered> {
  const descriptor = await readDescriptor(staging);
  const name = descriptor === undefined ? id : within(folder, descriptor.name);
  if (descriptor === undefined || descriptor.sealed === null) {
    await discard(staging);
    return {
      action: "removed",
      name,
      message: `The backup ${name} was interrupted before it was whole; what was written of it is removed`,
    };
  }
  const staged: Staged = { place, folder: place.pathOf(folder), staging, descriptor: { ...descriptor, sealed: descriptor.sealed } };
  if (await isExposable(staged)) {
    await expose(staged);
    await discard(staging);
    return { action: "rolled-forward", name, message: `The backup ${name} was whole when it was interrupted; its publication is finished` };
  }
  if (await isPublished(staged)) {
    await discard(staging);
    return { action: "rolled-forward", name, message: `The backup ${name} was published already; what was left beside it is removed` };
  }
  await retract(staged);
  await discard(staging);
  return {
    action: "removed",
    name,
    message: `The backup ${name} was interrupted and parts of it are missing or its name is taken; the rest is removed`,
  };
}

function within(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}
