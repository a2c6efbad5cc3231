import { describeAddress } from "./connection.ts";
import { parseConnectionUrl } from "./connection-url.ts";
import { escapePattern, findDatabase, globalsName } from "./entry-names.ts";

interface KnownEntry {
  readonly name: string;
  readonly form: "file" | "tree";
  readonly sourcePath: string;
}

const endings = [
  [".sql", "plain"],
  [".db", "sqlite"],
] as const;

/** The connection without its secrets, and what was dumped by it. A password comes from a passfile, or from the config. */
export function deriveOptions(entries: readonly KnownEntry[]): Readonly<Record<string, unknown>> {
  const dumps = entries.filter(({ name }) => name !== globalsName);
  const [first] = dumps;
  if (first === undefined) return {};
  const database = findDatabase(first.sourcePath);
  const format = dumps.some(({ form }) => form === "tree")
    ? "directory"
    : (endings.find(([ending]) => first.name.endsWith(ending))?.[1] ?? "custom");
  if (database === undefined) return { url: first.sourcePath, format: "cluster" };
  if (dumps.length === 1) return { url: first.sourcePath, format };
  // Such an address has no password.
  const { password: _, ...connection } = parseConnectionUrl(first.sourcePath);
  const server = describeAddress(connection, "");
  const databases = dumps.flatMap(({ sourcePath }) => findDatabase(sourcePath) ?? []).map(escapePattern);
  return { url: server, databases, format };
}
