import type { Verb } from "./verb.ts";

export const doctorVerb: Verb = {
  name: "doctor",
  help: {
    exits: { 0: "nothing needs a person", 1: "something does", 2: "the config has errors: all of them are told" },
    daemon: "none",
    json: "{findings: [{level: ok|warn|fail, what, detail, hint}]}",
    examples: ["holdfast doctor", "holdfast doctor --json | jq '.findings[] | select(.level != \"ok\")'"],
  },
  define(command, run) {
    command
      .description("Everything that check looks at, and the daemon itself: its state, its sockets, its unit, what it is not content with")
      .action(() =>
        run(async (context) => {
          // Loaded when it is called: it needs every driver.
          const { examineInstallation } = await import("./examine-installation.ts");
          return await examineInstallation(context);
        }),
      );
  },
};
