import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../../test/support/postgres-restore.ts";
import { fc } from "../../../test/support/properties.ts";
import { ScriptReader, type ScriptPart } from "./sql-script.ts";

/** Takes a script apart that comes in pieces of so many bytes, the last of them again and again. */
function readScript(script: string, sizes: readonly number[]): { readonly parts: readonly ScriptPart[]; readonly end: "whole" | "cut" } {
  const bytes = Buffer.from(script);
  const reader = new ScriptReader("shop.sql");
  const parts: ScriptPart[] = [];
  let size = 1;
  for (let at = 0, turn = 0; at < bytes.length; at += size, turn += 1) {
    size = sizes[turn] ?? size;
    parts.push(...reader.push(bytes.subarray(at, at + size)));
  }
  const rest = reader.finish();
  let next = rest.next();
  for (; next.done !== true; next = rest.next()) parts.push(next.value);
  return { parts, end: next.value };
}

/** One string a part, those that follow one another of one kind as one. */
function describeParts(parts: readonly ScriptPart[]): readonly string[] {
  const described: { readonly kind: string; text: string }[] = [];
  for (const part of parts) {
    const kind = part.kind === "copy" ? `${part.kind} ${part.isFree ? "free" : "bound"}` : part.kind;
    const last = described.at(-1);
    const text = Buffer.from(part.bytes).toString("latin1");
    if (last?.kind === kind && (kind === "text" || kind === "rows")) last.text += text;
    else described.push({ kind, text });
  }
  return described.map(({ kind, text }) => `${kind}: ${text}`);
}

const script = String.raw`--
-- PostgreSQL database dump
--

\restrict aBc

SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $x$ SELECT 'COPY t FROM stdin;
\.
' $x$;
COPY public."o;'dd" (a, b) FROM stdin;
1	\\.
\\.	2
\N	;
\.


COPY public.empty () FROM stdin;
\.

BEGIN;
COPY public.bound (a) FROM stdin;
x
\.
COMMIT;
SET client_encoding = 'LATIN1';
COPY public.foreign (a) FROM stdin;
x
\.
-- PostgreSQL database dump complete
--

\unrestrict aBc

`;

const taken = [
  "text: --\n-- PostgreSQL database dump\n--\n\n\n",
  "setting: SET client_encoding = 'UTF8';",
  "text: \n",
  "setting: SELECT pg_catalog.set_config('search_path', '', false);",
  "text: \nCREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $x$ SELECT 'COPY t FROM stdin;\n\\.\n' $x$;\n",
  'copy free: COPY public."o;\'dd" (a, b) FROM stdin;\n',
  "rows: 1\t\\\\.\n\\\\.\t2\n\\N\t;\n",
  "end: \\.\n",
  "text: \n\n",
  "copy free: COPY public.empty () FROM stdin;\n",
  "end: \\.\n",
  "text: \nBEGIN;\n",
  "copy bound: COPY public.bound (a) FROM stdin;\n",
  "rows: x\n",
  "end: \\.\n",
  "text: COMMIT;\n",
  "setting: SET client_encoding = 'LATIN1';",
  "text: \n",
  "copy bound: COPY public.foreign (a) FROM stdin;\n",
  "rows: x\n",
  "end: \\.\n",
  "text: -- PostgreSQL database dump complete\n--\n\n\n",
];

test("a dump is taken apart in the same way, in whatever pieces it comes", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 60 }), (sizes) => {
      const { parts, end } = readScript(script, sizes);
      assert.deepEqual(describeParts(parts), taken);
      assert.equal(end, "whole");
      const statements = parts.flatMap((part) => (part.kind === "copy" ? [part.statement] : []));
      assert.equal(statements[0], 'COPY public."o;\'dd" (a, b) FROM stdin');
    }),
    { numRuns: 200 },
  );
});

test("a dump that is cut off is taken apart as far as it goes", () => {
  fc.assert(
    fc.property(fc.integer({ min: script.indexOf("SET"), max: script.indexOf("\\unrestrict") }), (length) => {
      const { parts } = readScript(script.slice(0, length), [64]);
      const passed = Buffer.concat(parts.map(({ bytes }) => bytes)).toString();
      assert.equal(passed, script.slice(0, length).replace("\\restrict aBc\n", ""));
    }),
    { numRuns: 300 },
  );
});

test("a statement that is too long to be held goes on its way before its end", () => {
  const long = `SELECT pg_catalog.lowrite(0, '${"\\x00".repeat(700_000)}');\n`;
  const { parts, end } = readScript(`SET client_encoding = 'UTF8';\n${long}COPY t FROM stdin;\n1\n\\.\n`, [65_536]);
  assert.equal(end, "whole");
  assert.equal(parts.filter(({ kind }) => kind === "text").length > 20, true);
  assert.deepEqual(describeParts(parts), [
    "setting: SET client_encoding = 'UTF8';",
    `text: \n${long}`,
    "copy free: COPY t FROM stdin;\n",
    "rows: 1\n",
    "end: \\.\n",
  ]);
  const odd = readScript(`SET client_encoding = 'UTF8';\nCOPY t /*${"x".repeat(3_000_000)}*/ FROM stdin;\n1\n\\.\n`, [65_536]);
  assert.equal(
    odd.parts.some((part) => part.kind === "copy" && part.isFree),
    false,
  );
});

test("rows that another session could read otherwise stay with psql, to the end", () => {
  const kinds = (before: string): readonly string[] =>
    describeParts(
      readScript(`SET client_encoding = 'UTF8';\n${before}\nCOPY t (a) FROM stdin;\n1\n\\.\nCOPY u FROM stdin;\n1\n\\.\n`, [40]).parts,
    ).flatMap((part) => /^copy \w+/.exec(part)?.[0] ?? []);
  for (const ordinary of [
    "SET row_security = off;",
    "SET xmloption = content;",
    "SET default_table_access_method = columnar;",
    "BEGIN;\nSELECT pg_catalog.lo_close(0);\nCOMMIT;",
    "SELECT pg_catalog.setval('s', 3, true);",
    "CREATE TABLE settings (reset text);",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\n UPDATE t SET a = 1;\n WITH w AS (SELECT 1) SELECT 1;\nEND;",
    "CREATE PROCEDURE p()\n LANGUAGE sql\n BEGIN ATOMIC\nEND;",
    "CREATE POLICY p ON t USING (set_config('app.user', '1', true) IS NOT NULL);",
    "COMMENT ON TABLE t IS 'see set_config';",
  ])
    assert.deepEqual(kinds(ordinary), ["copy free", "copy free"], ordinary);
  for (const strange of [
    "SET DateStyle = 'ISO, DMY';",
    "set datestyle to 'ISO, DMY';",
    "SET SESSION AUTHORIZATION 'ann';",
    "SET ROLE ann;",
    "SET search_path = public, pg_catalog;",
    "RESET ALL;",
    "SELECT set_config('datestyle', 'SQL', false);",
    "START TRANSACTION;",
    "begin;",
    "CREATE TEMP TABLE t (a int);",
    "/*x*/ BEGIN;",
    ";BEGIN;",
    "LOCK TABLE t;",
    "DO $x$ BEGIN PERFORM set_config('datestyle', 'SQL', false); END $x$;",
    "SET standard_conforming_strings = 0;",
    "copy s from stdin;",
    "COPY s FROM STDIN;",
    "SET client_encoding = 'LATIN1';",
  ])
    assert.deepEqual(kinds(strange), ["copy bound", "copy bound"], strange);
  const { parts } = readScript("SET client_encoding = 'UTF8';\nCOPY t FROM stdin; SELECT 1;\n1\n\\.\n", [50]);
  assert.equal(
    parts.some((part) => part.kind === "copy" && part.isFree),
    false,
  );
});

test("F57 whatever else is for psql itself is refused, before it is handed on", () => {
  const isHostile = isFailure("backup-damaged", /^shop\.sql holds a command for psql itself/, /^Nothing was replaced/);
  for (const line of ["\\! id", "\\restrict two", "\\connect other", "\\copy t from program 'id'"])
    assert.throws(() => readScript(script.replace("BEGIN;", `${line}\nBEGIN;`), [50]), isHostile, line);
  const late = isFailure("backup-damaged", /^shop\.sql goes on after its end/, /^Nothing was replaced/);
  for (const line of ["SELECT 1;", "COPY t FROM stdin;\n1\n\\."]) assert.throws(() => readScript(`${script}${line}\n`, [50]), late, line);
});
