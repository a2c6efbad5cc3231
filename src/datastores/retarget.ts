/** `scratch`: a name of ours, made from the id of a scratch place, which no backup takes up. */
export type OtherName = { readonly kind: "named"; readonly name: string } | { readonly kind: "scratch"; readonly id: string };

export interface Retarget {
  /** Options that are given in place of those of the datastore. */
  readonly changes: Readonly<Record<string, unknown>>;
  readonly name: string;
  /** The command that looks into it. Never with a secret. */
  readonly access: string;
  /** How it is removed by hand. */
  readonly removal: string;
}

export interface Retargeted extends Omit<Retarget, "changes"> {
  /** For `configure`. */
  readonly options: unknown;
}
