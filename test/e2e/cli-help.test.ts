import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { errorPolicies } from "../../src/base/errors.ts";
import { verbs } from "../../src/cli/verbs.ts";
import { runProgram } from "../support/daemon.ts";
import { assertGolden } from "../support/golden.ts";

const documentPath = fileURLToPath(new URL("../../docs/CLI.md", import.meta.url));

async function readHelp(...verb: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram([...verb, "--help"]);
  assert.equal(status, 0);
  assert.equal(stderr, "");
  return stdout;
}

describe("the help", () => {
  const helps = new Map<string, string>();

  it("lists every verb", async () => {
    const help = await readHelp();
    for (const { name } of verbs) assert.match(help, new RegExp(`^  ${name} `, "m"));
    assertGolden("cli/help.txt", help);
  });

  for (const verb of verbs) {
    it(`of ${verb.name} is the one on record`, async () => {
      const help = await readHelp(verb.name);
      helps.set(verb.name, help);
      assertGolden(`cli/help-${verb.name}.txt`, help);
    });

    it(`of ${verb.name} says every form in which a backup can be named, where it takes one`, () => {
      const [, forms] = /^ +backup +(.*(?:\n {20,}.*)*)/m.exec(helps.get(verb.name) ?? "") ?? [];
      if (forms !== undefined) assert.match(forms, /\bid, name, path or time \(20260101_030000\)/);
    });

    it(`of ${verb.name} says exit statuses, the shape of --json, and an example`, () => {
      const help = verb.help;
      assert.ok(help !== undefined, "it has no help of its own");
      assert.ok(help.json.length > 0);
      assert.ok(help.examples.length > 0);
      const known = new Set([0, 1, 2, 3, ...Object.values(errorPolicies).map(({ exit }) => exit)]);
      for (const status of Object.keys(help.exits ?? {})) assert.ok(known.has(Number(status)), `no error exits with ${status}`);
      for (const example of help.examples) assert.match(example, new RegExp(`(holdfast|systemctl)\\b.*\\b${verb.name}\\b`));
    });
  }

  it("is what docs/CLI.md says", () => {
    const sections = [...helps].map(([name, help]) => `## ${name}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\`\n`);
    const wanted = [
      "# Command line",
      "",
      "Written from the program by `UPDATE_GOLDEN=1 node --test test/e2e/cli-help.test.ts`. Fields of `--json` may be added, never taken",
      "away. An error is `{error: {code, message, hint, details}}` with `--json`; its codes and exit statuses stand in [ERRORS.md](ERRORS.md).",
      "On a pipe tables become lines with tabs between their columns; progress, colours and questions need a terminal.",
      "",
      sections.join("\n"),
    ].join("\n");
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(documentPath, wanted);
    else assert.equal(readFileSync(documentPath, "utf8"), wanted, "UPDATE_GOLDEN=1 writes it anew");
  });
});
