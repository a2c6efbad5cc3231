import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../../base/atomic-file.ts";
import { readErrno } from "../../base/errors.ts";
import { parseKey } from "../parse-key.ts";
import { descriptorName } from "./names.ts";

const object = z.object({ name: z.string().refine(isSafeName), bytes: z.int().nonnegative() });

const descriptorSchema = z.object({
  format: z.literal(1),
  id: z.string(),
  name: z.string().refine(isSafeName),
  shape: z.enum(["directory", "beside"]),
  /** Null until everything is written and durable: from then on a crash is answered by rolling forward. */
  sealed: z.object({ objects: z.array(object), manifest: object.extend({ sha256: z.string() }) }).nullable(),
});

export type Descriptor = z.infer<typeof descriptorSchema>;
export type Sealed = NonNullable<Descriptor["sealed"]>;

/** Undefined when there is none, or none that can be read: then nothing of the publication can be visible yet. */
export async function readDescriptor(staging: string): Promise<Descriptor | undefined> {
  let text: string;
  try {
    text = await readFile(join(staging, descriptorName), "utf8");
  } catch (error) {
    if (readErrno(error) === "ENOENT" || readErrno(error) === "ENOTDIR") return undefined;
    throw error;
  }
  try {
    return descriptorSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Durable when it returns. */
export async function writeDescriptor(staging: string, descriptor: Descriptor): Promise<void> {
  await writeFileAtomically(join(staging, descriptorName), `${JSON.stringify(descriptor)}\n`, 0o600);
}

export function hashBytes(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function isSafeName(name: string): boolean {
  try {
    return parseKey(name).length > 0;
  } catch {
    return false;
  }
}
