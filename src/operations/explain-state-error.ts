import { describeCause, HoldfastError, readErrno } from "../base/errors.ts";

const rightsHint = (): string =>
  `Run it as root, or as the account of the service; this is uid ${process.geteuid?.()}. Or give that account the directory.`;

const hints: Readonly<Partial<Record<string, () => string>>> = {
  EACCES: rightsHint,
  EPERM: rightsHint,
  EROFS: () => "Mount it writable, or name another directory in `settings.stateDir`; a service needs it in its `ReadWritePaths=`, too.",
  ENOENT: () => "A directory above it is missing, or a link leads nowhere.",
  ENOTDIR: () => "Something above it is no directory.",
  EEXIST: () => "There is something else in its place.",
};

/** Does work in Holdfast's own directories: what the system refuses there is for the operator, and no bug. @throws state-unwritable */
export async function withStateExplained<Result>(directory: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const hint = error instanceof HoldfastError ? undefined : hints[readErrno(error) ?? ""];
    if (hint === undefined) throw error;
    throw new HoldfastError("state-unwritable", `Cannot use ${directory}: ${describeCause(error)}`, { hint: hint(), cause: error });
  }
}
