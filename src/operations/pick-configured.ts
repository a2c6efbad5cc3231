import type { Config } from "../config/config.ts";

/** How datastores of a backup are configured now, by name, as far as they are still there and of the same kind. */
export function pickConfigured(
  { datastores }: Pick<Config, "datastores">,
  members: readonly { readonly datastore: string; readonly kind: string }[],
): Readonly<Record<string, unknown>> {
  const options = members.flatMap(({ datastore, kind }) => {
    const known = datastores.get(datastore);
    return known?.kind === kind ? [[datastore, known.options] as const] : [];
  });
  return Object.fromEntries(options);
}
