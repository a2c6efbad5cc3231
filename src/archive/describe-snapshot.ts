import { describeDuration } from "../base/parse-duration.ts";
import type { Manifest, ManifestMember } from "./manifest-schema.ts";

/** How a member's source stood, for people: "stopped for 4s to be copied". Undefined for one that was at work, and for a group's. */
export function describeSnapshot({ snapshot }: Pick<ManifestMember, "snapshot">): string | undefined {
  if (snapshot === undefined || (snapshot.copying === "live" && snapshot.heldMs === undefined)) return undefined;
  const { copying, heldMs } = snapshot;
  const time = heldMs === undefined ? "" : ` for ${describeDuration(heldMs)}`;
  const how = { live: "at work", paused: "paused", stopped: "stopped" }[copying];
  return `${how}${time} to be copied${copying === "paused" ? ", as after a power cut (crash-consistent)" : ""}`;
}

/** "one restore point of all datastores: 2026-01-01T00:00:00.000Z, within 40ms; the application was frozen for 1s" */
export function describeGroup({ firstAt, lastAt, frozenMs }: NonNullable<Manifest["group"]>): string {
  const window = describeDuration(Date.parse(lastAt) - Date.parse(firstAt));
  return `one restore point of all datastores: ${firstAt}, within ${window}; the application was frozen for ${describeDuration(frozenMs)}`;
}
