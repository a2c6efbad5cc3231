import { formatInstant } from "../base/clock.ts";
import type { Run } from "../catalog/contract.ts";
import type { JobFacts } from "./job-facts.ts";

/** What is wrong with the proofs of a job's backups, and with their being there; one line each, with what to do. */
export function listProofProblems(job: string, { lastProofs, missing, vanished }: JobFacts): readonly string[] {
  return [
    ...lastProofs.filter(({ state }) => state === "failed").map((run) => describeFailedProof(job, run)),
    ...[...Map.groupBy(missing, ({ destination }) => destination)].map(([destination, backups]) => {
      const [first, ...others] = backups;
      const [are, them] = others.length === 0 ? ["backup is", "it"] : ["backups are", "them"];
      const names = `${first?.name}${others.length === 0 ? "" : ", …"}`;
      return `${backups.length} ${are} missing at "${destination}": ${names}; bring ${others.length === 0 ? "its" : "their"} files back, or \`holdfast rebuild\` forgets ${them}`;
    }),
    ...(vanished === undefined
      ? []
      : [
          `no good backup is left: ${vanished.name} is no longer at "${vanished.destination}", and was not deleted by Holdfast; \`holdfast backup ${job}\` makes one`,
        ]),
  ];
}

function describeFailedProof(job: string, { kind, finishedAtMs, startedAtMs, summary }: Run): string {
  const [name, remedy] =
    kind === "drill" ? ["drill", `holdfast drill latest --job ${job}`] : ["verification", `holdfast verify --all --job ${job}`];
  const at = formatInstant(finishedAtMs ?? startedAtMs);
  return `the last ${name} failed at ${at}: ${summary}; \`holdfast runs ${job}\` lists it, \`${remedy}\` tries again`;
}
