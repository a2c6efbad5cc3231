const places = new Set<string>();

/** What a datastore's options say, for checks of what is stored, which are asked for without options. */
export function rememberTools(binDir: string | undefined): void {
  if (binDir !== undefined) places.add(binDir);
}

/** Every `binDir` of the datastores that this process has opened. */
export function listRememberedTools(): readonly string[] {
  return [...places];
}
