import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../base/secret.ts";
import { viaField, wrapCommand, type InnerCommand } from "./via.ts";

const inner: InnerCommand = {
  program: "pg_dump",
  args: ["--format=custom", "-- $(x)\n"],
  env: { PGUSER: "app" },
  secrets: { PGPASSWORD: new Secret("canary") },
};

test("W7 tools run by docker compose exec without a terminal, variables by name", () => {
  const outer = wrapCommand({ dockerCompose: "postgres", file: "/srv/c.yml", project: "p", directory: "/srv" }, inner);
  assert.deepEqual(outer.args, [
    "compose",
    "-f",
    "/srv/c.yml",
    "-p",
    "p",
    "exec",
    "-T",
    "-e",
    "PGUSER",
    "-e",
    "PGPASSWORD",
    "postgres",
    "pg_dump",
    "--format=custom",
    "-- $(x)\n",
  ]);
  assert.equal(outer.program, "docker");
  assert.equal(outer.cwd, "/srv");
  assert.equal(outer.env["PGPASSWORD"], "canary");
});

test("W7 tools run by docker exec", () => {
  const outer = wrapCommand({ docker: "db" }, inner);
  assert.deepEqual(outer.args.slice(0, 8), ["exec", "-i", "-e", "PGUSER", "-e", "PGPASSWORD", "db", "pg_dump"]);
});

test("F71 W7 a password never goes through a command's arguments", () => {
  assert.throws(() => wrapCommand({ command: ["ssh", "host", "--"] }, inner), { code: "config-invalid" });
  const { args } = wrapCommand({ command: ["ssh", "host", "--"] }, { ...inner, secrets: {} });
  assert.deepEqual(args, ["host", "--", "env", "PGUSER=app", "pg_dump", "--format=custom", "-- $(x)\n"]);
  for (const via of [undefined, { docker: "db" }, { dockerCompose: "db" }])
    assert.doesNotMatch(JSON.stringify(wrapCommand(via, inner).args), /canary/);
});

test("without via a program runs as it is", () => {
  const outer = wrapCommand(undefined, inner);
  assert.deepEqual([outer.program, outer.args], ["pg_dump", inner.args]);
});

test("via names are no options", () => {
  for (const via of [{ docker: "--privileged" }, { dockerCompose: "-x" }, { command: [] }, { docker: "a", command: ["b"] }, {}])
    assert.equal(viaField.safeParse(via).success, false);
});
