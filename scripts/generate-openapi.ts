// Writes docs/openapi.json, the description of the control socket. A test keeps both equal.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createOpenApi } from "../src/control/openapi.ts";
import { allRoutes } from "../src/control/route-table.ts";
import { loadProgram } from "../src/daemon/load-program.ts";

writeFileSync(
  join(import.meta.dirname, "../docs/openapi.json"),
  `${JSON.stringify(createOpenApi(allRoutes, loadProgram().version), null, 2)}\n`,
);
