import { rm } from "node:fs/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import type { DriverContext, DumpEntry, DumpFacts } from "../contract.ts";
import { explainSourceFault, explainSpace } from "./explain-fault.ts";
import { surveyTree, type TreeSurvey } from "./survey-tree.ts";
import { createListPath, streamTree } from "./tar-program.ts";

/** What belongs to a tree, and what its absence means. */
export interface TreeSource {
  /** Globs relative to the root of what is left out. */
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
  readonly optional: boolean;
  readonly allowEmpty: boolean;
  /** Name in the backup, without `.tar`; the datastore's by default. */
  readonly entry?: string | undefined;
}

/** Undefined when an optional root is not there. Throws `source-missing`, `source-empty`, `source-unreadable`. */
export async function lookAtTree(root: string, options: TreeSource, signal: AbortSignal): Promise<TreeSurvey | undefined> {
  let survey: TreeSurvey;
  try {
    survey = await surveyTree(root, options, signal);
  } catch (error) {
    const explained = explainSourceFault(error, root);
    if (options.optional && explained instanceof HoldfastError && explained.code === "source-missing") return undefined;
    throw explained;
  }
  if (survey.entries === 0 && !options.allowEmpty && !options.optional) {
    throw new HoldfastError("source-empty", `Cannot dump "${root}": the directory is empty`, {
      hint: "Is it mounted? Set `allowEmpty: true` where that is normal.",
    });
  }
  return survey;
}

export async function* dumpTree(
  dump: { readonly root: string; readonly options: TreeSource; readonly context: DriverContext },
  signal: AbortSignal,
): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  const { root, options, context } = dump;
  const survey = await lookAtTree(root, options, signal);
  if (survey === undefined) return { checked: false, notes: [], absent: true };
  const listPath = createListPath(context.stagingDir);
  let told: readonly Note[] | undefined;
  let bytes = 0;
  async function* open(inner: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const stream = streamTree(
      { root, excluded: survey?.excluded ?? [], oneFileSystem: options.oneFileSystem, listPath },
      AbortSignal.any([signal, inner]),
    );
    try {
      for (let next = await stream.next(); ; next = await stream.next()) {
        if (next.done === true) {
          told = next.value;
          break;
        }
        bytes += next.value.length;
        context.progress({ phase: "read", bytes, totalBytes: Math.max(bytes, survey?.tarBytes ?? 0) });
        yield next.value;
      }
    } catch (error) {
      throw explainSpace(error, `Cannot dump "${root}"`);
    } finally {
      // Ends tar when the reader stops early.
      await stream.return([]);
      await rm(listPath, { force: true });
    }
  }
  yield {
    name: `${options.entry ?? context.name}.tar`,
    form: "tree",
    body: { kind: "stream", open },
    sourcePath: root,
    finish: () =>
      told === undefined ? Promise.reject(new HoldfastError("internal", "A tree was not read to its end")) : Promise.resolve(told),
  };
  return { checked: false, notes: survey.notes, absent: false };
}
