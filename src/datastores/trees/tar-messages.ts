import { lstatSync } from "node:fs";
import type { Note } from "../../base/note.ts";
import { joinPath } from "./raw-path.ts";

/** How many notes of one code are listed; the rest is counted. */
const listedNotes = 100;

/** What tar says while it reads, as notes. Their number is bounded, however many files changed. */
export interface TarMessages {
  /** Takes a line of tar's standard error; never throws. */
  readonly add: (line: string) => void;
  readonly notes: () => readonly Note[];
}

export function collectMessages(root: string): TarMessages {
  const listed: Note[] = [];
  const counts = new Map<string, { readonly level: Note["level"]; count: number }>();
  return {
    add(line) {
      const text = line.replace(/^tar: /, "");
      if (text === "" || /: (?:socket ignored|file is on a different filesystem; not dumped)$/.test(text)) return;
      const note = explainMessage(text, root);
      const known = counts.get(note.code) ?? { level: note.level, count: 0 };
      known.count += 1;
      counts.set(note.code, known);
      if (known.count <= listedNotes) listed.push(note);
    },
    notes() {
      const more = [...counts].filter(([, { count }]) => count > listedNotes);
      if (more.length === 0) return listed;
      const message = `Not listed: ${more.map(([code, { count }]) => `${count - listedNotes} more of ${code}`).join(", ")}`;
      const level = more.some(([, known]) => known.level === "partial") ? "partial" : "info";
      return [...listed, { level, code: "more-notes", message }];
    },
  };
}

const messages: readonly (readonly [RegExp, Note["level"], string, string])[] = [
  [/^(.*): file changed as we read it$/, "partial", "file-changed", "changed while it was read"],
  [/^(.*): File removed before we read it$/, "partial", "file-vanished", "vanished before it was read"],
  [
    /^(.*): File shrank by \d+ bytes?; padding with zeros$/,
    "partial",
    "file-shrank",
    "shrank while it was read; its end is zeros in the backup",
  ],
  [/^(.*): Warning: (?:Cannot|Read error) .*?: ?(.*)$/, "partial", "file-unreadable", "could not be read"],
  [/^(.*): Warning: .*$/, "partial", "file-unreadable", "could not be read"],
];

function explainMessage(line: string, root: string): Note {
  for (const [pattern, level, code, text] of messages) {
    const match = pattern.exec(line);
    if (match === null) continue;
    const name = (match[1] ?? "").replace(/^\.\//, "");
    if (code === "file-changed" && isDirectory(root, name))
      return { level: "info", code: "directory-changed", message: `Entries of ${name} came or went while it was read` };
    return { level, code, message: `${name === "" ? "." : name} ${text}${match[2] === undefined ? "" : `: ${match[2]}`}` };
  }
  return { level: "partial", code: "tar-message", message: `tar: ${line}` };
}

/** What cannot be looked at counts as a file: the worse of the two. */
function isDirectory(root: string, escapedName: string): boolean {
  try {
    return lstatSync(joinPath(root, unescapeName(escapedName)), { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
}

const escapes: Readonly<Record<string, string>> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** The bytes of a name as tar's messages have it: escaped like a C string, the rest UTF-8. */
function unescapeName(escaped: string): Buffer {
  const perByte = Buffer.from(escaped).toString("latin1");
  const name = perByte.replaceAll(/\\(?:([0-7]{3})|(.))/g, (_, octal: string | undefined, character: string | undefined) =>
    octal === undefined ? (escapes[character ?? ""] ?? character ?? "") : String.fromCodePoint(Number.parseInt(octal, 8)),
  );
  return Buffer.from(name, "latin1");
}
