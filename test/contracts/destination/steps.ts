import assert from "node:assert/strict";
import { HoldfastError, type ErrorCode } from "../../../src/base/errors.ts";
import { createId } from "../../../src/base/ids.ts";
import type { Destination, PublicationShape } from "../../../src/destinations/contract.ts";
import type { DestinationFixture, DestinationPlace } from "./fixture.ts";

export const never = new AbortController().signal;
/** Of the destination in most tests. */
export const name = "vault";
export const shapes: readonly PublicationShape[] = ["directory", "beside"];

/** Closes the place, too, when it cannot be initialised. */
export async function openMarked(fixture: DestinationFixture): Promise<DestinationPlace> {
  const place = await fixture.openPlace();
  try {
    await using destination = await place.open(name);
    await destination.initialize("init", never);
    return place;
  } catch (error) {
    await place[Symbol.asyncDispose]();
    throw error;
  }
}

export async function publish(destination: Destination, shape: PublicationShape, backup: string, text: string): Promise<void> {
  await using publication = await destination.openPublication("jobs", backup, shape, createId(Date.now()), never);
  await publication.put(backup, chunks(Buffer.from(text), 1 << 20), never);
  await publication.publish({ name: manifestName(shape, backup), body: Buffer.from("m") }, never);
}

export function manifestName(shape: PublicationShape, backup: string): string {
  return shape === "directory" ? "manifest.json" : `${backup}.manifest.json`;
}

export function objectKey(shape: PublicationShape, backup: string, object: string, folder = "jobs/nightly"): string {
  return shape === "directory" ? `${folder}/${backup}/${object}` : `${folder}/${object}`;
}

export async function listKeys(destination: Destination, folder = ""): Promise<readonly string[]> {
  return (await Array.fromAsync(destination.list(folder, never))).map(({ key }) => key).toSorted();
}

export async function readText(destination: Destination, key: string): Promise<string> {
  return (await collect(destination.get(key, undefined, never))).toString();
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body));
}

export async function* chunks(body: Uint8Array, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < body.length; offset += bytes) yield body.subarray(offset, offset + bytes);
}

export async function* failAfter(bytes: number, failure: Error): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.alloc(bytes);
  throw failure;
}

/** Neither ends nor looks at a signal. */
export async function* hangAfter(bytes: number, onHang: () => void): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.alloc(bytes);
  setImmediate(onHang);
  await new Promise(() => undefined);
}

export async function* reuseBuffer(times: number, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.alloc(bytes);
  for (let part = 0; part < times; part += 1) yield buffer.fill(part);
}

/** @param hint a part of the error's hint */
export function hasCode(code: ErrorCode, hint = ""): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof HoldfastError, `not a HoldfastError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    assert.ok((error.hint ?? "").includes(hint), `the hint lacks ${hint}: ${error.hint}`);
    return true;
  };
}
