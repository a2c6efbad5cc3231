import { setFlagsFromString } from "node:v8";

/**
 * For a process through which many bytes pass. By itself V8 marks the whole heap whenever 64 MiB of buffers have come and gone, which took a
 * third of the time of a dump; now buffers count towards the limit that grows with the heap. Call it before the bytes come.
 */
export function relaxCollector(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
}
