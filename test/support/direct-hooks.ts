import { after, before } from "node:test";

/** Has the hooks of all tests of a file, or of the suite that asks for it, run by this process and not by systemd. */
export function useDirectHooks(): void {
  const { HOLDFAST_HOOKS: hooks } = process.env;
  before(() => {
    process.env["HOLDFAST_HOOKS"] = "direct";
  });
  after(() => {
    if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
    else process.env["HOLDFAST_HOOKS"] = hooks;
  });
}

/** What the application of a test is stopped, started or asked with. */
export function createShellHook(script: string): { readonly command: string[]; readonly timeoutMs: number } {
  return { command: ["/bin/sh", "-c", script], timeoutMs: 20_000 };
}
