import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Beside the compiled sources: kept from one run of the tests to the next. */
const shelf = join(import.meta.dirname, "../../.runtime");
const controlFile = "global/pg_control";
/** CRC-32C, as PostgreSQL has it; node:zlib has the other one. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ ((value & 1) * 0x82f63b78);
  return value;
});

export interface ClusterMaking {
  readonly binDir: string;
  /** Makes a cluster in the directory, which is not there yet. */
  readonly make: (directory: string) => void;
  /** What the cluster depends on besides the version of its tools. */
  readonly settings: string;
  /** A command line that becomes the account of the server. */
  readonly becomeAccount: readonly [string, ...string[]];
}

/**
 * Puts a cluster where none is: initdb takes more than half a second of a processor, and a copy of its work a tenth. Each copy gets a system
 * identifier of its own, by which the program tells servers apart.
 */
export function copyCluster(directory: string, { binDir, make, settings, becomeAccount }: ClusterMaking): void {
  const version = execFileSync(join(binDir, "postgres"), ["--version"], { encoding: "utf8" });
  const template = join(
    shelf,
    `cluster-${createHash("sha256")
      .update(version + settings)
      .digest("hex")
      .slice(0, 16)}`,
  );
  if (!existsSync(template)) {
    make(directory);
    const own = `${template}.${randomBytes(4).toString("hex")}`;
    execFileSync("cp", ["--archive", "--reflink=auto", directory, own]);
    try {
      renameSync(own, template);
    } catch {
      rmSync(own, { recursive: true, force: true }); // another test has been faster
    }
    return;
  }
  execFileSync("cp", ["--archive", "--reflink=auto", template, directory]);
  const control = readFileSync(join(directory, controlFile));
  changeIdentifier(control);
  writeFileSync(join(directory, controlFile), control);
  // Its log begins anew, with the new identifier.
  const [program, ...args] = becomeAccount;
  execFileSync(program, [...args, join(binDir, "pg_resetwal"), "--force", directory], { cwd: "/", stdio: "pipe" });
}

/** The identifier stands first; the checksum after all that it covers, at a place that differs from version to version. */
function changeIdentifier(control: Buffer): void {
  const at = findChecksum(control);
  control.writeBigUInt64LE((BigInt(Math.floor(Date.now() / 1000)) << 32n) | BigInt(randomBytes(4).readUInt32LE()), 0);
  control.writeUInt32LE(computeChecksum(control, at), at);
}

function findChecksum(control: Buffer): number {
  for (let at = 200; at < 512; at += 4) if (control.readUInt32LE(at) === computeChecksum(control, at)) return at;
  throw new Error("pg_control has no checksum where one is expected");
}

function computeChecksum(bytes: Buffer, length: number): number {
  let crc = 0xffffffff;
  for (let at = 0; at < length; at += 1) crc = (crc >>> 8) ^ (crcTable[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}
