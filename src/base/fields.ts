import { z } from "zod";
import { describeFound } from "./describe-found.ts";
import { describeCause, HoldfastError } from "./errors.ts";
import { parseDuration, type DurationLimits } from "./parse-duration.ts";
import { Secret } from "./secret.ts";

/** JSON Schema of a field whose text has a grammar of its own, for editors. */
type FieldDocs = Readonly<Record<string, unknown>> & { readonly description: string };

/** A field that is read by a parse function: its HoldfastErrors become problems at the field. */
export function createParsedField<T>(parse: (input: unknown) => T, docs: FieldDocs): z.ZodType<T> {
  return z
    .unknown()
    .transform((input, context): T => {
      try {
        return parse(input);
      } catch (thrown) {
        if (!(thrown instanceof HoldfastError)) throw thrown;
        context.addIssue({ code: "custom", message: describeRefusal(thrown, input) });
        return z.NEVER;
      }
    })
    .meta(docs);
}

/** `Cannot read duration "5x": why` is said by its place already, so only what was found and why are told. */
function describeRefusal(error: HoldfastError, input: unknown): string {
  const shown = JSON.stringify(input) ?? String(input);
  const message = describeCause(error);
  const at = message.indexOf(`${shown}: `);
  const reason = message.slice(at + shown.length + 2);
  const isMapping = typeof input === "object" && input !== null;
  const why = !message.startsWith("Cannot ") || at === -1 ? message : isMapping ? reason : `cannot read ${describeFound(input)}: ${reason}`;
  return error.hint === undefined || why.includes("allowed are") ? why : `${why}. ${error.hint.replace(/\.$/, "")}`;
}

export function durationField(description: string, limits: DurationLimits = {}): z.ZodType<number> {
  return createParsedField((input) => parseDuration(input, limits), {
    type: "string",
    pattern: String.raw`^\s*(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+$`,
    examples: ["90s", "30m", "6h", "30d"],
    description,
  });
}

/** Text in the config, `{env: …}`, `{file: …}` or `{credential: …}`; never shown again. */
export const secretField = z
  .custom<Secret | string>((value) => value instanceof Secret || (typeof value === "string" && value !== ""), {
    error: (issue) => `expected a secret: {file: /path}, {credential: NAME} or {env: NAME}, found ${describeKind(issue.input)}`,
    params: { secret: true },
  })
  .transform((value) => (value instanceof Secret ? value : new Secret(value)))
  .meta({ type: "string", secret: true });

/** Never the value: it may be the secret. */
function describeKind(value: unknown): string {
  return typeof value === "object" || value === undefined ? describeFound(value) : value === "" ? "an empty text" : `a ${typeof value}`;
}
