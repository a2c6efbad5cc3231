import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Of a daemon: its wall clock is another one, its monotonic clock is real. Its workers do not inherit it. */
export interface FakeTime {
  readonly env: Readonly<Record<string, string>>;
  /** Moves the clock. Less than five minutes are no jump. */
  moveTo(epochMs: number): void;
}

/** @param dir for the file that moves the clock */
export function createFakeTime(dir: string, epochMs: number): FakeTime {
  const path = join(dir, "clock-offset");
  const moveTo = (toMs: number): void => writeFileSync(path, `${((toMs - Date.now()) / 1000).toFixed(3).replace(/^(?!-)/, "+")}\n`);
  moveTo(epochMs);
  return {
    env: {
      LD_PRELOAD: "/usr/$LIB/faketime/libfaketime.so.1",
      FAKETIME_TIMESTAMP_FILE: path,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
    moveTo,
  };
}
