import { HoldfastError } from "../../base/errors.ts";

/** What is told by the beginning and the end of a dump in SQL stands in so many bytes of it. */
export const edgeBytes = 64 * 1024;

/** What the end of a dump says of it; undefined where it is cut off, or is none of pg_dump's. */
export function readTrailer(tail: Buffer): "database" | "cluster" | undefined {
  const trailer = /-- PostgreSQL database (cluster )?dump complete\n--\s*(\\unrestrict \S+\s*)?$/.exec(tail.toString("utf8"));
  if (trailer === null) return undefined;
  return trailer[1] === undefined ? "database" : "cluster";
}

export function createCutError(name: string, hint: string): HoldfastError {
  return new HoldfastError("backup-incomplete", `${name} has not the line that ends a dump: it is cut off, or is none of pg_dump's`, {
    hint,
  });
}

/** Where the dump goes on after its own restriction of psql, which is no use to whoever has not made the dump himself. */
export function findBegin(head: Buffer): number {
  return /^(?:--[^\n]*\n|\n)*\\restrict [^\n]*\n/.exec(head.toString("latin1"))?.[0].length ?? 0;
}

/** How many bytes at the end lift the dump's own restriction. */
export function countLifting(tail: Buffer): number {
  return /\\unrestrict [^\n]*\n\s*$/.exec(tail.toString("latin1"))?.[0].length ?? 0;
}
