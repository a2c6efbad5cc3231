import { HoldfastError } from "../base/errors.ts";

/**
 * The components of a key; none for "", the destination itself.
 * @throws HoldfastError `usage` for a key that could lead out of the destination, or that is hidden: names with a leading dot are Holdfast's own
 */
export function parseKey(key: string): readonly string[] {
  if (key === "") return [];
  const components = key.split("/");
  for (const component of components) {
    const problem = findProblem(component);
    if (problem !== undefined) throw new HoldfastError("usage", `Not a key in a destination: ${JSON.stringify(key)}: ${problem}`);
  }
  return components;
}

function findProblem(component: string): string | undefined {
  if (component === "") return "a component is empty";
  if (component === "." || component === "..") return `it has ${JSON.stringify(component)} in it`;
  if (component.startsWith(".")) return "names with a leading dot are hidden";
  if (component.includes("\0")) return "it has a NUL in it";
  return undefined;
}
