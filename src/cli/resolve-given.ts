import { resolve } from "node:path";

/** A destination as it was typed: a name of the config, which has no slash, or a path. */
export function resolveGiven(destination: string): string {
  return destination.includes("/") || destination === "." || destination === ".." ? resolve(destination) : destination;
}
