import { quoteName } from "./quote-sql.ts";
import { findMissingRoles } from "./restore-needs.ts";
import type { SqlSession } from "./sql-session.ts";

const identifier = String.raw`(?:"(?:[^"]|"")+"|[^\s".,();]+)`;
const creation = new RegExp(`^CREATE ROLE (${identifier})$`);
/** What pg_dumpall writes of a role, and nothing else. */
const attributes = new RegExp(
  `^ALTER ROLE (${identifier}) WITH((?: (?:NO)?(?:SUPERUSER|INHERIT|CREATEROLE|CREATEDB|LOGIN|REPLICATION|BYPASSRLS)| CONNECTION LIMIT -?\\d+| PASSWORD '[^'\\\\]*'| VALID UNTIL '[^'\\\\]*')+)$`,
);
const membership = new RegExp(`^GRANT (${identifier}) TO (${identifier})(?: WITH [A-Z, ]+)?(?: GRANTED BY (${identifier}))?$`);

/** The statements of a dump of roles that are understood. */
export class RoleStatements {
  readonly #roles: string[] = [];
  readonly #attributes = new Map<string, string>();
  readonly #memberships: { readonly group: string; readonly member: string }[] = [];

  add(statement: string): void {
    const created = creation.exec(statement)?.[1];
    if (created !== undefined) this.#roles.push(unquote(created));
    const [, altered, list] = attributes.exec(statement) ?? [];
    if (altered !== undefined && list !== undefined) this.#attributes.set(unquote(altered), list);
    const [, group, member] = membership.exec(statement) ?? [];
    if (group !== undefined && member !== undefined) this.#memberships.push({ group: unquote(group), member: unquote(member) });
  }

  get roles(): readonly string[] {
    return this.#roles;
  }

  /** Adds those that are not there, with their attributes and memberships; changes none that is there. Gives the names of those added. */
  async addMissing(session: SqlSession): Promise<readonly string[]> {
    const missing = await findMissingRoles(session, this.#roles);
    for (const role of missing) await session.query(`CREATE ROLE ${quoteName(role)}${this.#attributes.get(role) ?? ""}`);
    for (const { group, member } of this.#memberships) {
      if (!missing.includes(member) && !missing.includes(group)) continue;
      if ((await findMissingRoles(session, [group, member])).length > 0) continue;
      await session.query(`GRANT ${quoteName(group)} TO ${quoteName(member)}`);
    }
    return missing;
  }
}

function unquote(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}
