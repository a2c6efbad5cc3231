import { HoldfastError } from "../base/errors.ts";

/** Where `--to` leads: into datastores of the config, below a directory, or into a scratch place. */
export type RestorePlace =
  | { readonly kind: "config"; readonly targets: readonly string[] }
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "scratch" };

/** A directory has a slash in it, so that no name of the config is taken for one. @throws usage when the targets do not go together */
export function classifyTo(targets: readonly string[]): RestorePlace {
  const [first = "", ...others] = targets;
  const special = targets.find((target) => target === "scratch" || isDirectory(target));
  if (special === undefined) return { kind: "config", targets };
  if (others.length > 0) throw new HoldfastError("usage", `--to ${special} stands alone: all that is restored goes there`);
  return first === "scratch" ? { kind: "scratch" } : { kind: "directory", path: first };
}

function isDirectory(target: string): boolean {
  return target === "." || target === ".." || (target.includes("/") && !/^([^/=]+=)?database:/.test(target));
}
