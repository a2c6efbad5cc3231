import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { findClosest } from "../base/closest-name.ts";
import { describeCause, HoldfastError, readErrno } from "../base/errors.ts";
import { writeAt, type CheckContext } from "./check-value.ts";
import { parseSource, type ParsedSource } from "./parse-source.ts";
import { describeFound } from "../base/describe-found.ts";
import { readSource, type SourceText } from "./read-source.ts";
import { readSecret } from "./references.ts";

export const sections = ["settings", "datastores", "destinations", "jobs", "notify"] as const;
export type Section = (typeof sections)[number];
export type Sections = Readonly<Record<Section, Readonly<Record<string, unknown>>>>;

/** What was read: with every reference resolved, and as it stands in the files. */
export interface ReadSources extends Sections {
  readonly declared: Sections;
}

type MergedSections = Record<Section, Record<string, unknown>>;
type Env = Readonly<Record<string, string | undefined>>;

/**
 * The main file and `conf.d/*.yaml` beside it, merged by section and with references resolved. Problems go to the context.
 * @throws HoldfastError `config-missing` when there is no main file
 */
export async function readSources(mainPath: string, env: Env, context: CheckContext): Promise<ReadSources> {
  const merged = { ...createSections(), declared: createSections() };
  const main = await readSource(mainPath);
  if ("missing" in main) {
    throw new HoldfastError("config-missing", `Cannot read the config ${mainPath}: there is no such file`, {
      hint: "`holdfast init` writes a first one; --config names another.",
    });
  }
  await mergeSource(context.mainFile, main, env, merged, context);
  for (const name of await listFragments(mainPath, context)) {
    const source = await readSource(join(dirname(mainPath), name));
    if (!("missing" in source)) await mergeSource(name, source, env, merged, context);
  }
  return merged;
}

const createSections = (): MergedSections => ({ settings: {}, datastores: {}, destinations: {}, jobs: {}, notify: {} });

async function listFragments(mainPath: string, context: CheckContext): Promise<readonly string[]> {
  try {
    const names = await readdir(join(dirname(mainPath), "conf.d"));
    return names
      .filter((name) => /^[^.].*\.ya?ml$/.test(name))
      .toSorted()
      .map((name) => join("conf.d", name));
  } catch (thrown) {
    if (readErrno(thrown) !== "ENOENT")
      context.problems.push({ file: "conf.d", path: "", message: `the directory cannot be read: ${describeCause(thrown)}` });
    return [];
  }
}

async function mergeSource(
  file: string,
  source: SourceText,
  env: Env,
  merged: MergedSections & { readonly declared: MergedSections },
  context: CheckContext,
): Promise<void> {
  const refuse = (message: string, at: { readonly line?: number; readonly column?: number } = {}): void => {
    context.problems.push({ file, ...at, path: "", message });
  };
  if ("message" in source) {
    const { message, ...at } = source;
    return refuse(message, at);
  }
  if ("missing" in source) return;
  const { value, problems, secrets, references } = parseSource(file, source.text, context.index, env);
  context.problems.push(...problems);
  if (value === undefined) return;
  if (value === null) return refuse(`the file is empty; it has at least one of ${sections.join(", ")}`, { line: 1, column: 1 });
  if (typeof value !== "object" || Array.isArray(value))
    return refuse(`expected a mapping with ${sections.join(", ")}, found ${describeFound(value)}`, { line: 1, column: 1 });
  noteDeclared(structuredClone(value), references, merged.declared);
  for (const pending of secrets) {
    try {
      writeAt(value, pending.path, await readSecret(pending, env));
    } catch (thrown) {
      context.problems.push(context.index.createProblem(pending.path, "value", { message: describeCause(thrown) }, file));
    }
  }
  for (const [key, entries] of Object.entries(value)) mergeSection(file, key, entries, merged, context);
}

/** What is wrong with a section is told when it is merged; here it is passed over. */
function noteDeclared(value: unknown, references: ParsedSource["references"], declared: MergedSections): void {
  for (const { path, written } of references) writeAt(value, path, written);
  for (const section of sections) {
    const entries = (value as Partial<Record<Section, unknown>>)[section];
    if (typeof entries === "object" && entries !== null) declared[section] = { ...entries, ...declared[section] };
  }
}

function mergeSection(file: string, key: string, entries: unknown, merged: MergedSections, context: CheckContext): void {
  const refuse = (path: readonly string[], facts: Parameters<typeof context.index.createProblem>[2]): void => {
    context.problems.push(context.index.createProblem(path, "key", facts, file));
  };
  const section = sections.find((each) => each === key);
  if (section === undefined) {
    const meant = findClosest(key, sections) ?? (key === "channels" ? "notify" : undefined);
    return refuse([key], {
      message: `unknown section ${JSON.stringify(key)}`,
      allowed: sections,
      ...(meant === undefined ? {} : { didYouMean: meant }),
    });
  }
  if (section === "settings" && file !== context.mainFile) return refuse([key], { message: `settings stand only in ${context.mainFile}` });
  if (entries === null) return;
  if (typeof entries !== "object" || Array.isArray(entries))
    return refuse([key], { message: `expected a mapping of names, found ${describeFound(entries)}` });
  for (const [name, entry] of Object.entries(entries)) {
    if (section in merged && Object.hasOwn(merged[section], name))
      refuse([section, name], { message: `${JSON.stringify(name)} is declared in another file already` });
    else merged[section][name] = entry;
  }
}

export function nameMainFile(path: string): string {
  return basename(path);
}
