import { countFindings, printFindings } from "./print-findings.ts";
import type { Verb } from "./verb.ts";

export const checkVerb: Verb = {
  name: "check",
  help: {
    exits: { 0: "nothing failed; there may be warnings", 1: "something will not work", 2: "the config has errors: all of them are told" },
    daemon: "none",
    json: "{findings: [{level: ok|warn|fail, what, detail, hint}], dropIn: [line]}",
    examples: [
      "holdfast check",
      "holdfast check --verbose    # with the drop-in that the service needs",
      "holdfast --config new.yaml check",
    ],
  },
  define(command, run) {
    command
      .description("Read the config, then try all that it needs: sources, destinations, space, programs, accounts")
      .option("--verbose", "print the systemd drop-in that the config needs, too")
      .action(({ verbose }: { readonly verbose?: boolean }) =>
        run(async ({ loadConfig, terminal, signal }) => {
          // Loaded when it is called: it needs every driver.
          const { describeDropIn } = await import("../operations/check/check-unit.ts");
          const { runChecks } = await import("../operations/check/run-checks.ts");
          const config = await loadConfig();
          const findings = await runChecks(config, signal);
          const dropIn = describeDropIn(config);
          if (terminal.json === "json") terminal.printJson({ findings, dropIn });
          else {
            printFindings(findings, terminal);
            if (verbose === true) for (const line of ["", ...dropIn]) terminal.print(line);
            terminal.tell(countFindings(findings));
          }
          return findings.some(({ level }) => level === "fail") ? 1 : 0;
        }),
      );
  },
};
