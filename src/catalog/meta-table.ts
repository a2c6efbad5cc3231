import type { CatalogFile } from "./catalog-file.ts";
import type { Meta } from "./contract.ts";

export class MetaTable implements Meta {
  readonly #file: CatalogFile;

  constructor(file: CatalogFile) {
    this.#file = file;
  }

  get(key: string): string | undefined {
    const row = this.#file.get("SELECT value FROM meta WHERE key = ?", key) as { readonly value: string } | undefined;
    return row?.value;
  }

  set(key: string, value: string): void {
    this.#file.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value);
  }
}
