import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findAccount } from "./postgres.ts";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority of a test's own, in a directory that the server's account can read. */
export class Authority {
  readonly #directory: string;
  readonly #name: string;

  constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
    this.root = this.#openssl(name, ["-x509", "-subj", `/CN=${name}`, "-addext", "basicConstraints=critical,CA:TRUE"]);
  }

  readonly root: Certificate;

  /** A certificate for a server's host name, or for a client's role as its common name. */
  issue(commonName: string, owner: "server" | "client"): Certificate {
    const own = [
      "-x509",
      "-subj",
      `/CN=${commonName}`,
      "-addext",
      `subjectAltName=DNS:${commonName}`,
      "-addext",
      "basicConstraints=CA:FALSE",
    ];
    const made = this.#openssl(`${this.#name}-${owner}-${commonName}`, [...own, "-CA", this.root.cert, "-CAkey", this.root.key]);
    const { uid, gid } = findAccount();
    if (owner === "server") chownSync(made.key, uid, gid);
    return made;
  }

  #openssl(name: string, args: readonly string[]): Certificate {
    const [cert, key] = [join(this.#directory, `${name}.crt`), join(this.#directory, `${name}.key`)];
    const keyArgs = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-days", "2", "-out", cert];
    execFileSync("openssl", ["req", "-new", ...keyArgs, ...args], { stdio: "pipe" });
    chmodSync(key, 0o600);
    chmodSync(cert, 0o644);
    return { cert, key };
  }
}

/** A line of a password file, or the text of a service file, which only its reader may read. */
export function writePrivately(path: string, text: string): string {
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
