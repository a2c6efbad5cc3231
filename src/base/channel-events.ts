/** What a channel can be told of. `suspect`: a shrink froze retention; `absence`: no verified backup younger than `maxAge`. */
export const channelEvents = [
  "failure",
  "partial",
  "suspect",
  "damaged",
  "absence",
  "low-space",
  "recovery",
  "success",
  "restore",
] as const;

export type ChannelEvent = (typeof channelEvents)[number];
