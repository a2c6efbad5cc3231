import { HoldfastError } from "../../base/errors.ts";

/** The parts of a connection URL as libpq reads it: `postgresql://[user[:password]@][host[:port],…][/database][?name=value&…]`. */
export interface UrlParts {
  readonly host?: string;
  readonly port?: string;
  readonly user?: string;
  readonly password?: string;
  readonly database?: string;
  /** Other settings by libpq's names, for example `sslmode`. */
  readonly settings: Readonly<Record<string, string>>;
}

const urlPattern =
  /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<hosts>[^/?#]*)(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/;
const partNames = new Map([
  ["host", "host"],
  ["port", "port"],
  ["user", "user"],
  ["password", "password"],
  ["dbname", "database"],
] as const);

/** Throws `config-invalid` without ever showing the URL, which may hold a password. */
export function parseConnectionUrl(url: string): UrlParts {
  const groups = urlPattern.exec(url.trim())?.groups;
  if (groups === undefined)
    throw createUrlError("it does not begin with postgresql://, or a part of it has a character that must be percent-encoded");
  const parts: Record<string, string> = {};
  const settings: Record<string, string> = {};
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") parts[name] = value;
  };
  set("user", decode(groups["user"]));
  set("password", decode(groups["password"]));
  set("database", decode(groups["database"]));
  const hosts = (groups["hosts"] ?? "").split(",").map(splitHost);
  set(
    "host",
    hosts
      .map(({ host }) => host)
      .join(",")
      .replace(/^,+$/, ""),
  );
  set(
    "port",
    hosts
      .map(({ port }) => port)
      .join(",")
      .replace(/^,+$/, ""),
  );
  for (const pair of (groups["query"] ?? "").split("&").filter((each) => each !== "")) {
    const at = pair.indexOf("=");
    const name = decode(at === -1 ? pair : pair.slice(0, at)) ?? "";
    const value = decode(at === -1 ? "" : pair.slice(at + 1)) ?? "";
    const part = partNames.get(name as "host");
    if (part === undefined) settings[name === "ssl" ? "sslmode" : name] = name === "ssl" && value === "true" ? "require" : value;
    else set(part, value);
  }
  return { ...parts, settings };
}

function splitHost(text: string): { readonly host: string; readonly port: string } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(text) ?? [];
  if (bracketed === undefined && plain === undefined) throw createUrlError("its host and port cannot be read");
  return { host: decode(bracketed ?? plain) ?? "", port: port ?? "" };
}

function decode(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw createUrlError("a percent sign in it is not followed by two hexadecimal digits");
  }
}

function createUrlError(why: string): HoldfastError {
  return new HoldfastError("config-invalid", `Cannot read the connection URL: ${why}`, {
    hint: "Write postgresql://user:password@host:5432/database, with %40 for @, %3A for :, %2F for / and %25 for % inside a part.",
  });
}
