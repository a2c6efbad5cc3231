import type { CatalogFile } from "./catalog-file.ts";
import type { Meta } from "./contract.ts";

export class MetaTable implements Meta {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  get(key: string): string | undefined {
    return this.#file.get<{ readonly value: string }>("SELECT value FROM meta WHERE key = ?", key)?.value;
  }

  set(key: string, value: string): void {
    this.#file.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value);
  }
}
