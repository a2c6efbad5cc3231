import type { DgramSocket } from "node-unix-socket";
import { runProgram } from "../base/subprocess.ts";

const programTimeoutMs = 5_000;

/** What is told to the service manager, as sd_notify(3) names it. */
export type NotifyFields = Readonly<Record<string, string>>;

/** Carries messages to the socket of the service manager. */
export interface NotifyTransport extends Disposable {
  send(fields: NotifyFields): Promise<void>;
}

/**
 * Datagrams from this very process, which `NotifyAccess=main` accepts whoever it runs as; where that is not possible (no build of
 * node-unix-socket for this platform, or an abstract socket, which it cannot address) the program systemd-notify.
 */
export async function openNotifyTransport(socketPath: string): Promise<NotifyTransport> {
  const Socket = socketPath.startsWith("@") ? undefined : await loadDatagramSocket();
  return Socket === undefined ? createProgramTransport(socketPath) : new DatagramTransport(Socket, socketPath);
}

async function loadDatagramSocket(): Promise<typeof DgramSocket | undefined> {
  try {
    return (await import("node-unix-socket")).DgramSocket;
  } catch {
    return undefined;
  }
}

class DatagramTransport implements NotifyTransport {
  readonly #Socket: typeof DgramSocket;
  readonly #path: string;
  #socket: DgramSocket | undefined;

  constructor(Socket: typeof DgramSocket, path: string) {
    this.#Socket = Socket;
    this.#path = path;
  }

  async send(fields: NotifyFields): Promise<void> {
    const socket = (this.#socket ??= this.#open());
    const bytes = Buffer.from(formatFields(fields));
    await new Promise<void>((resolve, reject) => {
      socket.sendTo(bytes, 0, bytes.length, this.#path, (error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  #open(): DgramSocket {
    const socket = new this.#Socket();
    // It closes itself then; the next message gets a new one.
    socket.on("error", () => {
      this.#socket = undefined;
    });
    return socket;
  }

  [Symbol.dispose](): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}

/**
 * The npm package systemd-notify says READY and STATUS; it knows no other message, so those go through the program that it wraps. Only
 * root may speak for the main process by its id, so a service of another user then needs `NotifyAccess=all`.
 */
function createProgramTransport(socketPath: string): NotifyTransport {
  return {
    async send(fields) {
      const { READY, STATUS, ...others } = fields;
      if (READY !== undefined || STATUS !== undefined) {
        const { default: notify } = await import("systemd-notify");
        await notify({ ...(READY === undefined ? {} : { ready: true }), ...(STATUS === undefined ? {} : { status: STATUS }) });
      }
      if (Object.keys(others).length === 0) return;
      const args = [`--pid=${process.pid}`, ...Object.entries(others).map(([name, value]) => `${name}=${value}`)];
      const options = { env: { NOTIFY_SOCKET: socketPath }, timeoutMs: programTimeoutMs };
      await runProgram("systemd-notify", args, options, AbortSignal.timeout(programTimeoutMs));
    },
    [Symbol.dispose]: () => undefined,
  };
}

function formatFields(fields: NotifyFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}
