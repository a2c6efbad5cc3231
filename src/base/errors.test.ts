import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { errorPolicies, HoldfastError, readErrno, reportError, reviveError, type ErrorPolicy } from "./errors.ts";

const documentUrl = new URL("../../docs/ERRORS.md", import.meta.url);

function formatErrorTable(): string {
  const rows = Object.entries<ErrorPolicy>(errorPolicies).map(
    ([code, { exit, http, actor, retryable, meaning }]) =>
      `| \`${code}\` | ${exit} | ${http} | ${actor} | ${retryable ? "yes" : "no"} | ${meaning} |`,
  );
  return ["| code | exit status | HTTP status | who acts | tried again | meaning |", "| --- | --- | --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}

test("docs/ERRORS.md lists every error code as the table has it", () => {
  const text = readFileSync(documentUrl, "utf8");
  const [before = "", , after = ""] = text.split(/<!-- table:begin -->[^]*?(<!-- table:end -->)/);
  const wanted = `${before}<!-- table:begin -->\n${formatErrorTable()}\n<!-- table:end -->${after}`;
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(documentUrl, wanted);
  else assert.equal(text, wanted, "run it with UPDATE_GOLDEN=1 to write the table anew");
});

test("an error survives a process boundary with everything that a person needs", () => {
  const error = new HoldfastError("no-space", "Cannot write", { hint: "Free some.", details: { freeBytes: 1 } });
  const revived = reviveError(JSON.parse(JSON.stringify(reportError(error))) as ReturnType<typeof reportError>);
  assert.deepEqual(
    [revived.code, revived.message, revived.hint, revived.details],
    ["no-space", "Cannot write", "Free some.", { freeBytes: 1 }],
  );
});

test("anything that is no HoldfastError is reported as a bug", () => {
  assert.equal(reportError(new TypeError("x is undefined")).code, "internal");
  assert.equal(reportError("thrown text").message, "Bug: thrown text");
  assert.equal(readErrno(Object.assign(new Error("no"), { code: "ENOENT" })), "ENOENT");
});
