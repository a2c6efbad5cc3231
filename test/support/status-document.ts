import { requirementGroups } from "./requirement-ids.ts";
import { describeTitle, shortenPath, type TestResult } from "./test-results.ts";

/** docs/STATUS.md: which ids have a passing test. The same results give the same text, in whatever order they come. */
export function formatStatus(root: string, results: readonly TestResult[]): string {
  const proofs = new Map<string, Set<string>>();
  for (const result of results) {
    if (result.outcome !== "passed") continue;
    const proof = `${escapeMarkdown(describeTitle(result))} (\`${shortenPath(root, result.file)}\`)`;
    for (const id of findIds(describeTitle(result))) proofs.set(id, (proofs.get(id) ?? new Set()).add(proof));
  }
  const sections = requirementGroups.map(({ title, prefix, lines }) => {
    const ids = lines.map((_, index) => `${prefix}${index + 1}`);
    const proven = ids.filter((id) => proofs.has(id));
    const entries = ids.map((id, index) => formatEntry(id, lines[index] ?? "", [...(proofs.get(id) ?? [])]));
    return `## ${title}: ${proven.length} of ${ids.length}\n\n${entries.join("")}`;
  });
  return [heading, ...sections].join("\n");
}

const heading = `# Status

Which requirement and failure ids have a passing test. Written by \`./scripts/test\` after a complete run in which nothing failed; do not edit.
`;

function formatEntry(id: string, line: string, proofs: readonly string[]): string {
  const mark = proofs.length === 0 ? "no test yet" : "proven by";
  return `- **${id}** ${line}: ${mark}\n${proofs
    .toSorted()
    .map((proof) => `  - ${proof}\n`)
    .join("")}`;
}

const knownIds: ReadonlySet<string> = new Set(
  requirementGroups.flatMap(({ prefix, lines }) => lines.map((_, index) => `${prefix}${index + 1}`)),
);

/** The ids that stand in a title as words. */
export function findIds(title: string): readonly string[] {
  const words = title.match(/(?<![\w-])(?:prop-P|[A-Z])\d+(?![\w-]*\w)/g) ?? [];
  return [...new Set(words)].filter((word) => knownIds.has(word));
}

function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\`*_<>[\]]/g, "\\$&").replaceAll(/\s+/g, " ");
}
