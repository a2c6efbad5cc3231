import { HoldfastError } from "../base/errors.ts";
import type { ControlClient } from "../control/client.ts";
import { describeScratchMember, type ShownMember } from "./describe-scratch.ts";
import { finishAsked, type AskedTask } from "./finish-asked.ts";
import { createBackupPath, type ScopeOptions } from "./pick-scope.ts";
import type { VerbContext } from "./verb.ts";

export interface ToScratchOptions {
  readonly scope: ScopeOptions;
  readonly only?: readonly string[];
  readonly table?: readonly string[];
  readonly path?: readonly string[];
  readonly plan?: boolean;
  readonly acceptDoubtful?: boolean;
  readonly keepFor?: string;
  readonly detach?: boolean;
}

/** Has the daemon restore a backup into a place of its own. Nothing is replaced, so nothing is asked. */
export async function restoreToScratch(
  client: ControlClient,
  text: string,
  options: ToScratchOptions,
  context: VerbContext,
): Promise<number> {
  if (options.table !== undefined || options.path !== undefined || options.plan === true) {
    throw new HoldfastError(
      "usage",
      `--to scratch goes without ${options.plan === true ? "--plan: it replaces nothing" : "--table and --path"}`,
      {
        hint: "`holdfast scratch` lists what there is, `holdfast scratch remove ID` removes it.",
      },
    );
  }
  const body = {
    ...options.scope,
    ...(options.only === undefined ? {} : { datastores: options.only }),
    ...(options.keepFor === undefined ? {} : { keepFor: options.keepFor }),
    ...(options.acceptDoubtful === true ? { doubtful: "accept" } : {}),
  };
  const asked = await client.send<AskedTask>({ method: "POST", path: createBackupPath(text, "/scratch"), body }, context.signal);
  return await finishAsked(context, client, asked, {
    ...(options.detach === undefined ? {} : { detach: options.detach }),
    describe: ({ details }) => {
      const { id, members } = details as { readonly id: string; readonly members: readonly ShownMember[] };
      return [...members.flatMap(describeScratchMember), `To remove it before its time: holdfast scratch remove ${id}`];
    },
  });
}
