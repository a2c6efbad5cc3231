import { HoldfastError } from "../base/errors.ts";

/** An empty body is an empty object. @throws usage */
export function parseBody(text: string, maxDepth: number): unknown {
  if (text === "") return {};
  if (measureDepth(text) > maxDepth) throw new HoldfastError("usage", `The body is nested more than ${maxDepth} deep`);
  try {
    return JSON.parse(text);
  } catch {
    throw new HoldfastError("usage", "The body is not JSON");
  }
}

/** How deep brackets are nested outside strings; of a text that is not JSON some number. */
function measureDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let place = 0; place < text.length; place += 1) {
    const char = text[place];
    if (quoted && char === "\\") place += 1;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && (char === "[" || char === "{")) deepest = Math.max(deepest, (depth += 1));
    else if (!quoted && (char === "]" || char === "}")) depth -= 1;
  }
  return deepest;
}
