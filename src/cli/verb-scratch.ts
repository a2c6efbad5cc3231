import { describeBytes } from "../base/describe-amount.ts";
import { HoldfastError } from "../base/errors.ts";
import type { ScratchPlace } from "../operations/scratch/describe-scratches.ts";
import { describeScratchMember } from "./describe-scratch.ts";
import { finishAsked, type AskedTask } from "./finish-asked.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options {
  readonly detach?: boolean;
}

export const scratchVerb: Verb = {
  name: "scratch",
  help: {
    exits: { 0: "listed, or removed", 1: "it could not be removed; it is tried again", 4: "no such scratch place" },
    json: "{places: [{id, state, backup, job, createdAt, until, bytes, members: [{datastore, kind, place, bytes, access, notes}]}], problems}; remove: {task, state, summary, runId, details: {id}}",
    examples: ["holdfast restore latest --job nightly --to scratch", "holdfast scratch", "holdfast scratch remove 1m7yr3p8bta2hw779xy6"],
  },
  define(command, run) {
    command
      .description("List what `restore --to scratch` has made to be looked into, or remove it")
      .argument("[action]", "`remove`; without it all are listed")
      .argument("[id]", "of the scratch place")
      .option("--detach", "print the task and do not wait")
      .action((action: string | undefined, id: string | undefined, options: Options) =>
        run((context) => scratch(action, id, options, context)),
      );
  },
};

async function scratch(action: string | undefined, id: string | undefined, { detach }: Options, context: VerbContext): Promise<number> {
  const client = await context.connect();
  if (action === undefined) {
    const found = await client.send<Found>({ method: "GET", path: "/scratch" }, context.signal);
    return listPlaces(found, context);
  }
  if (action !== "remove" || id === undefined)
    throw new HoldfastError("usage", "Expected `holdfast scratch`, or `holdfast scratch remove ID`", {
      hint: "`holdfast scratch` lists the ids.",
    });
  const asked = await client.send<AskedTask>({ method: "DELETE", path: `/scratch/${encodeURIComponent(id)}` }, context.signal);
  return await finishAsked(context, client, asked, detach === undefined ? {} : { detach });
}

interface Found {
  readonly places: readonly ScratchPlace[];
  readonly problems: readonly string[];
}

function listPlaces(found: Found, { terminal }: VerbContext): number {
  if (terminal.json === "json") {
    terminal.printJson(found);
    return 0;
  }
  for (const problem of found.problems) terminal.print(`! ${problem}`);
  if (found.places.length === 0 && found.problems.length === 0)
    terminal.print("There is no scratch place. `holdfast restore … --to scratch` makes one.");
  for (const { id, state, backup, until, bytes, members } of found.places) {
    terminal.print(`${id}  ${state}  ${backup}, ${describeBytes(bytes)}, until ${until}`);
    for (const line of members.flatMap(describeScratchMember)) terminal.print(line);
  }
  return 0;
}
