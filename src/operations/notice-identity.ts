import type { Core } from "./core.ts";

/**
 * Remembers which place the name of a destination means, and tells when it has come to mean another one: what the former place holds leaves
 * the list, and retention and `latest` no longer know of it.
 * @param id as the destination's marker has it
 */
export function noticeIdentity(
  core: Pick<Core, "catalog" | "clock"> & { readonly log: Pick<Core["log"], "warn"> },
  name: string,
  id: string,
): void {
  const { catalog, clock, log } = core;
  const key = `destination.${name}`;
  const former = catalog.meta.get(key);
  if (former === id) return;
  catalog.meta.set(key, id);
  if (former === undefined) return;
  log.warn(
    `The destination "${name}" is another place than before, or its marker was made anew: backups that it does not hold leave the list`,
    {
      hint: `Where it is another directory the former one is as it was: \`holdfast list --offline PATH\` shows its backups. To go on with it, name it in the config again.`,
      marker: id,
      formerMarker: former,
    },
  );
  catalog.audit.record({
    atMs: clock.now(),
    actor: "outside",
    action: "destination.changed",
    subject: name,
    outcome: "ok",
    details: { marker: id, formerMarker: former },
  });
}
