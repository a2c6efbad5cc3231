export type GlobDots = "hide-dots" | "match-dots";

/** Whether a text has glob characters that are not escaped with a backslash. */
export function isGlob(pattern: string): boolean {
  return /[*?[\]{}]/.test(pattern.replaceAll(/\\./g, ""));
}

/** Text that as a glob matches exactly itself. */
export function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]{}\\]/g, "\\$&");
}

export function unescapeGlob(pattern: string): string {
  return pattern.replaceAll(/\\(.)/gs, "$1");
}

/**
 * Compiles a glob to a test of whole paths: `*` and `?` stay within a name, `**` crosses directories, `[a-z]`, `[!a]`, `{one,two}`,
 * backslash escapes. With `hide-dots` wildcards do not match the dot that begins a name, as in a shell.
 */
export function compileGlob(pattern: string, dots: GlobDots): RegExp {
  const guard = dots === "hide-dots" ? "(?!\\.)" : "";
  let source = "";
  let depth = 0;
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern.charAt(at);
    const startsName = at === 0 || pattern.charAt(at - 1) === "/";
    if (character === "*" && pattern.charAt(at + 1) === "*") {
      const wholeName = startsName && (at + 2 === pattern.length || pattern.charAt(at + 2) === "/");
      if (wholeName && pattern.charAt(at + 2) === "/") {
        source += `(?:${guard}[^/]+/)*`;
        at += 2;
      } else {
        source += wholeName ? `${guard}[^/]+(?:/${guard}[^/]+)*` : `${startsName ? guard : ""}[^/]*`;
        at += 1;
      }
    } else if (character === "*") {
      source += startsName ? `${guard}[^/]${pattern.charAt(at + 1) === "/" || at + 1 === pattern.length ? "+" : "*"}` : "[^/]*";
    } else if (character === "?") source += `${startsName ? guard : ""}[^/]`;
    else if (character === "[") {
      const close = pattern.indexOf("]", at + 2);
      if (close === -1) source += "\\[";
      else {
        const negated = /[!^]/.test(pattern.charAt(at + 1));
        const set = pattern.slice(at + (negated ? 2 : 1), close).replaceAll(/[\\\]^[&~|]/g, "\\$&");
        source += `${startsName ? guard : ""}(?!/)[${negated ? "^" : ""}${set}]`;
        at = close;
      }
    } else if (character === "{" && pattern.includes("}", at)) {
      depth += 1;
      source += "(?:";
    } else if (character === "}" && depth > 0) {
      depth -= 1;
      source += ")";
    } else if (character === "," && depth > 0) source += "|";
    else if (character === "\\" && at + 1 < pattern.length) {
      at += 1;
      source += escapeForRegExp(pattern.charAt(at));
    } else source += escapeForRegExp(character);
  }
  return new RegExp(`^${source}$`, "s");
}

function escapeForRegExp(character: string): string {
  return character.replaceAll(/[$()*+./?[\\\]^{|}-]/g, "\\$&");
}
