import { describeBytes } from "../base/describe-amount.ts";

/** A member of a scratch place, as the daemon tells it. */
export interface ShownMember {
  readonly datastore: string;
  readonly kind: string;
  readonly place: string;
  readonly bytes: number;
  readonly access: readonly string[];
  readonly notes: readonly string[];
}

/** Where it is, and the commands to look into it. */
export function describeScratchMember({ datastore, kind, place, bytes, access, notes }: ShownMember): readonly string[] {
  return [
    `  ${datastore} (${kind}), ${describeBytes(bytes)}: ${place}`,
    ...notes.map((note) => `    ! ${note}`),
    ...access.map((command) => `    ${command}`),
  ];
}
