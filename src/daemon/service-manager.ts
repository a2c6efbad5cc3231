/** Tells the service manager how things stand; nothing without one. */
export interface ServiceManager extends AsyncDisposable {
  ready(status: string): Promise<void>;
  status(text: string): Promise<void>;
  reloading(): Promise<void>;
  stopping(): Promise<void>;
  startWatchdog(): void;
}

export async function openServiceManager(_env: Readonly<Record<string, string | undefined>>): Promise<ServiceManager> {
  const nothing = (): Promise<void> => Promise.resolve();
  return await Promise.resolve({
    ready: nothing,
    status: nothing,
    reloading: nothing,
    stopping: nothing,
    startWatchdog: () => undefined,
    [Symbol.asyncDispose]: nothing,
  });
}
