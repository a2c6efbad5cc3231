import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import type { Core } from "./core.ts";
import { describeDestination } from "./find-config.ts";
import { noticeIdentity } from "./notice-identity.ts";
import { openDestination } from "./verify.ts";

/** Rarely: each look keeps a share mounted that is unmounted when nobody uses it. */
const lookEveryMs = 10 * 60_000;
/** While one is away: who has brought it back must not read for long that it is gone. */
const lookAgainMs = 15_000;

/** Looks now and then whether the places of backups are there: `status` must tell of one that has gone before a run needs it. */
export class DestinationWatch {
  readonly #core: Core;
  /** Places that are being asked: one that never answers is not asked twice. */
  readonly #asked = new Set<string>();
  readonly #stopping = new AbortController();
  #lookedAtMs = -Infinity;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Begins a look when it is time, and does not wait for it. */
  look(): void {
    const { clock, destinationProblems } = this.#core;
    const everyMs = destinationProblems.size === 0 ? lookEveryMs : lookAgainMs;
    if (clock.monotonic() - this.#lookedAtMs >= everyMs) this.lookNow();
  }

  lookNow(): void {
    const { config, clock, destinationProblems } = this.#core;
    this.#lookedAtMs = clock.monotonic();
    const needed = listNeeded(config);
    for (const name of destinationProblems.keys()) if (!needed.has(name)) destinationProblems.delete(name);
    for (const name of needed) void this.#lookAt(name);
  }

  async #lookAt(name: string): Promise<void> {
    const setup = describeDestination(this.#core.config, name);
    // After a reload a name may mean another place.
    const place = JSON.stringify(setup);
    if (this.#asked.has(place)) return;
    this.#asked.add(place);
    try {
      await using destination = await openDestination(setup);
      const id = await destination.identify(this.#stopping.signal);
      if (!this.#means(name, place)) return;
      noticeIdentity(this.#core, name, id);
      this.#tell(name, undefined);
    } catch (error) {
      const hint = error instanceof HoldfastError && error.hint !== undefined ? `. ${error.hint}` : "";
      if (this.#means(name, place)) this.#tell(name, `${describeCause(error)}${hint}`);
    } finally {
      this.#asked.delete(place);
    }
  }

  /** It may have been asked long ago. */
  #means(name: string, place: string): boolean {
    const { config } = this.#core;
    return !this.#stopping.signal.aborted && config.destinations.has(name) && JSON.stringify(describeDestination(config, name)) === place;
  }

  #tell(name: string, problem: string | undefined): void {
    const { destinationProblems: problems, log } = this.#core;
    if (problems.get(name) === problem) return;
    if (problem === undefined) {
      problems.delete(name);
      log.info(`The destination "${name}" can be used again`);
    } else {
      problems.set(name, problem);
      log.warn(problem);
    }
  }

  [Symbol.dispose](): void {
    this.#stopping.abort(new HoldfastError("interrupted", "The daemon is being stopped"));
  }
}

/** An unplugged disk that need not be there is no problem. */
function listNeeded({ jobs, destinations }: Config): ReadonlySet<string> {
  const used = [...jobs.values()].filter(({ enabled }) => enabled).flatMap(({ destination, copies }) => [destination, ...copies]);
  return new Set(used.filter((name) => destinations.get(name)?.required === true));
}
