import { HoldfastError } from "../base/errors.ts";

interface Remembered {
  readonly request: string;
  readonly answer: Promise<unknown>;
}

/**
 * Answers given under an idempotency key: a client that lost the reply and asks again gets the same one, and nothing is done twice.
 * The newest `capacity` keys are kept, failures are not; beyond a restart the queue remembers the keys of its tasks.
 */
export class ReplyMemory {
  readonly #known = new Map<string, Remembered>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** @throws conflict when the key was used for another request */
  async answer(key: string, request: string, work: () => Promise<unknown>): Promise<unknown> {
    const known = this.#known.get(key);
    if (known !== undefined) {
      if (known.request === request) return await known.answer;
      throw new HoldfastError("conflict", `The idempotency key "${key}" was used for another request`, {
        hint: "Use a new key for a new request.",
      });
    }
    const answer = work();
    this.#known.set(key, { request, answer });
    answer.catch(() => this.#known.delete(key));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= this.#capacity) break;
      this.#known.delete(oldest);
    }
    return await answer;
  }
}
