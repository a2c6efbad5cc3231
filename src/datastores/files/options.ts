import { isAbsolute } from "node:path";
import { z } from "zod";
import { directoryField } from "../volume.ts";

const absolutePattern = z.string().refine((path) => isAbsolute(path) && !path.includes("\0"), "must be an absolute path");
const relativeGlob = z.string().refine((path) => !isAbsolute(path) && path !== "", "must be a glob relative to the root");
const shared = {
  optional: z.boolean().default(false).describe("An absent source is recorded as such instead of failing the run"),
  allowEmpty: z.boolean().default(false).describe("A source that is there but empty is no failure"),
};

const includeEntry = z.union([
  absolutePattern,
  z.strictObject({
    path: absolutePattern.describe("Path or glob"),
    optional: z.boolean().optional().describe("Its absence is no failure"),
    lines: z.boolean().optional().describe("An append-only log: cut at a whole line"),
  }),
]);

const looseOptions = z.strictObject({
  include: z.array(includeEntry).min(1).describe("Files by path or glob; `*` and `?` stay within a name, `**` crosses directories"),
  exclude: z.array(absolutePattern).default([]).describe("Absolute globs of what is left out"),
  base: absolutePattern
    .optional()
    .describe("Names in the backup are relative to it; default: the deepest directory that all patterns share"),
  lines: z
    .union([z.boolean(), z.array(absolutePattern)])
    .default(false)
    .describe("Append-only logs, cut at a whole line: all files, or those that match"),
  maxChangeRetries: z.number().int().min(0).max(100).default(2).describe("How often a file that changed while it was read is read again"),
  ...shared,
});

const treeOptions = z.strictObject({
  root: directoryField.describe("A directory that is kept as one tree, with everything in it; or `{ volume: NAME }`, of the Docker engine"),
  exclude: z.array(relativeGlob).default([]).describe("Globs relative to the root of what is left out and survives a restore"),
  entry: z
    .string()
    .regex(/^[^/\0]+$/)
    .refine((name) => name !== "." && name !== "..", "must be a file name")
    .optional()
    .describe("Name in the backup, without `.tar`; default: the datastore's name"),
  oneFileSystem: z.boolean().default(true).describe("File systems that are mounted below the root are left out"),
  devices: z.boolean().default(false).describe("A restore creates device nodes"),
  setId: z.boolean().default(false).describe("A restore gives files their set-uid and set-gid bits back"),
  ...shared,
});

export const filesOptions = z.union([looseOptions, treeOptions], {
  error: ({ input }) =>
    isBoth(input) ? "it has `root` and `include`, which exclude each other: a directory as one tree, or single files" : undefined,
});

function isBoth(input: unknown): boolean {
  return typeof input === "object" && input !== null && "root" in input && "include" in input;
}

export type LooseOptions = z.output<typeof looseOptions>;
export type TreeOptions = z.output<typeof treeOptions>;
export type FilesOptions = LooseOptions | TreeOptions;

export function isTree(options: FilesOptions): options is TreeOptions {
  return "root" in options;
}
