import { parseConnectionUrl } from "./connection-url.ts";

/** Of roles and tablespaces beside single databases; nothing else has it. */
export const globalsName = "globals.sql";

const endings = { custom: ".backup", plain: ".sql", directory: ".tar", cluster: ".sql", sqlite: ".db" } as const;
const maxNameBytes = 200;

/** A database's name as a file name; what a file name may not have, or what looks like something else there, is percent-encoded. */
export function formatEntryName(database: string, format: keyof typeof endings): string {
  const safe = Array.from(database)
    .map((char, at) => (/[/%\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/u.test(char) || (at === 0 && /[-.~]/.test(char)) ? encodeChar(char) : char))
    .join("");
  const short = Buffer.byteLength(safe) > maxNameBytes ? encodeURIComponent(database).slice(0, maxNameBytes) : safe;
  const name = `${short}${endings[format]}`;
  return name === globalsName ? `${encodeChar(name.slice(0, 1))}${name.slice(1)}` : name;
}

function encodeChar(char: string): string {
  return [...Buffer.from(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

/** The database of an entry, from where it came; undefined where that does not say it. */
export function findDatabase(sourcePath: string): string | undefined {
  try {
    return parseConnectionUrl(sourcePath).database;
  } catch {
    return undefined; // not one of ours: the name is only for people then
  }
}

/** Whether a name is one of the patterns: `*` any text, `?` any character, `\` takes the next character as it is. */
export function matchesPattern(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const source = pattern.replaceAll(/\\([^])|([^])/g, (_, escaped: string | undefined, char: string | undefined) => {
      if (char === "*") return "[^]*";
      if (char === "?") return "[^]";
      return (escaped ?? char ?? "").replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
    });
    return new RegExp(`^(?:${source})$`, "u").test(name);
  });
}

export function escapePattern(name: string): string {
  return name.replaceAll(/[*?\\]/g, String.raw`\$&`);
}

/**
 * A pattern for pg_dump, which folds what is not quoted to lower case: names are taken in the case in which they are written (A4). Where the
 * pattern has quotes itself it is left as it is.
 */
export function quotePattern(pattern: string): string {
  if (pattern.includes('"')) return pattern;
  // A part may have pg_dump's wildcards, which mean nothing inside of quotes: only what stands between them is quoted.
  return pattern
    .split(".")
    .map((part) => part.replaceAll(/[^*?]+/g, (text) => (/^[a-z_][a-z0-9_]*$/.test(text) ? text : `"${text}"`)))
    .join(".");
}
