/** As SQL's literal, whatever the server's settings are. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
