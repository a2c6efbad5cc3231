import { HoldfastError } from "../../base/errors.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { javaHint } from "./tools.ts";

interface Meaning {
  readonly sign: RegExp;
  readonly code: "source-missing" | "source-locked" | "source-corrupt" | "tool-missing" | "tool-failed" | "backup-damaged";
  readonly text: string;
  readonly hint: string;
}

const meanings: readonly Meaning[] = [
  {
    sign: /UnsupportedClassVersionError|UnsupportedClassVersion|Unsupported Java|has been compiled by a more recent version/,
    code: "tool-missing",
    text: "Java is too old for this Neo4j",
    hint: "Neo4j 5 needs Java 17 or newer, later ones 21: install it, or set `java` to its path.",
  },
  {
    sign: /Could not find or load main class|ClassNotFoundException/,
    code: "tool-missing",
    text: "the Neo4j installation is not whole",
    hint: "Set `home` to the directory in which Neo4j is installed; it has `bin`, `conf` and `lib`.",
  },
  {
    sign: /Unmatched argument.*'backup'|Unknown command.*backup/s,
    code: "tool-missing",
    text: "this Neo4j has no `neo4j-admin database backup`: it is of the Community edition",
    hint: "Use `method: dump` with a `service` that is stopped meanwhile, or the `home` of an Enterprise installation.",
  },
  {
    sign: /Database does not exist|does not exist: |Cannot find database/i,
    code: "source-missing",
    text: "there is no such database",
    hint: "Correct `database`: its name is that of a directory in `databases` of the data directory.",
  },
  {
    sign: /is in use|FileLockException/i,
    code: "source-locked",
    text: "a server has the database open",
    hint: "Stop it first.",
  },
  {
    sign: /Active logical log detected/,
    code: "source-corrupt",
    text: "the copy is of a server that was not shut down in good order, and was not recovered",
    hint: "Start the server, let it recover, stop it, and run this again.",
  },
  {
    sign: /Not a valid Neo4j archive|IncorrectFormat|Truncated|premature|Unexpected end|Decompression error|Corrupt/i,
    code: "backup-damaged",
    text: "Neo4j cannot read the archive",
    hint: "Restore another backup.",
  },
];

/** What Neo4j's programs say, in words that name the remedy. */
export function explainToolError(thrown: unknown, what: string): Error {
  const full = explainSpace(thrown, what);
  if (!(full instanceof HoldfastError)) return full;
  if (full.code === "tool-missing" && /(^|\/)java /.test(full.message))
    return new HoldfastError("tool-missing", `${what}: ${full.message}`, {
      hint: javaHint,
      cause: thrown,
    });
  if (full.code !== "tool-failed") return full;
  const said = [full.details?.["stderr"], full.details?.["output"]].filter((text) => typeof text === "string").join("\n");
  const meaning = meanings.find(({ sign }) => sign.test(said));
  if (meaning === undefined)
    return new HoldfastError("tool-failed", `${what}: ${full.message}`, { cause: thrown, details: full.details ?? {} });
  return new HoldfastError(meaning.code, `${what}: ${meaning.text}`, { hint: meaning.hint, cause: thrown, details: full.details ?? {} });
}
