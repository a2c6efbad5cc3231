/** A signal of its own that follows others, one after the other: for what is begun under one and ended under another. */
export interface SignalLink {
  readonly signal: AbortSignal;
  /** Leaves the one that was followed so far. An aborted one aborts this for good. */
  follow(next: AbortSignal | undefined): void;
}

export function createSignalLink(first: AbortSignal): SignalLink {
  const controller = new AbortController();
  let followed: AbortSignal | undefined;
  const pass = (): void => controller.abort(followed?.reason);
  const link: SignalLink = {
    signal: controller.signal,
    follow(next) {
      followed?.removeEventListener("abort", pass);
      followed = next;
      if (next?.aborted === true) pass();
      else next?.addEventListener("abort", pass, { once: true });
    },
  };
  link.follow(first);
  return link;
}
