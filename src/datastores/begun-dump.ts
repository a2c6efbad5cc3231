import { createSignalLink, type SignalLink } from "../base/signal-link.ts";
import type { Datastore, DumpEntry, DumpFacts } from "./contract.ts";

type Steps = AsyncGenerator<DumpEntry, DumpFacts, undefined>;

interface Begun {
  readonly steps: Steps;
  readonly first: IteratorResult<DumpEntry, DumpFacts>;
  readonly link: SignalLink;
}

const abandoned: DumpFacts = { checked: false, notes: [], absent: false };

/** `snapshot` and `dump` of a driver whose dump has fixed the state when it yields its first entry. Closing ends one that nobody went on with. */
export function createBegunDump(
  begin: (signal: AbortSignal) => Steps,
): Required<Pick<Datastore, "snapshot" | "dump">> & { readonly close: () => Promise<void> } {
  let begun: Begun | undefined;
  return {
    async snapshot(signal) {
      const link = createSignalLink(signal);
      const steps = begin(link.signal);
      const first = await steps.next();
      link.follow(undefined);
      begun = { steps, first, link };
    },
    dump: (signal) => (begun === undefined ? begin(signal) : goOn(begun, signal)),
    async close() {
      await begun?.steps.return(abandoned);
    },
  };
}

async function* goOn({ steps, first, link }: Begun, signal: AbortSignal): Steps {
  link.follow(signal);
  try {
    let step = first;
    for (; step.done !== true; step = await steps.next()) yield step.value;
    return step.value;
  } finally {
    await steps.return(abandoned);
    link.follow(undefined);
  }
}
