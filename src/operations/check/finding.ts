/** What one look at the surroundings told. */
export interface Finding {
  /** `fail`: a run, or what it is for, will not work. `warn`: it works, and a person should know. */
  readonly level: "ok" | "warn" | "fail";
  /** What was looked at: `source memory`. */
  readonly what: string;
  readonly detail: string;
  /** What to do about it. */
  readonly hint?: string;
}

export const ok = (what: string, detail: string): Finding => ({ level: "ok", what, detail });

export function warn(what: string, detail: string, hint?: string): Finding {
  return { level: "warn", what, detail, ...(hint === undefined ? {} : { hint }) };
}

export function fail(what: string, detail: string, hint?: string): Finding {
  return { level: "fail", what, detail, ...(hint === undefined ? {} : { hint }) };
}
