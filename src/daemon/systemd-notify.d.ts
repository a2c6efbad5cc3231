declare module "systemd-notify" {
  export interface NotifyOptions {
    readonly ready?: boolean;
    readonly status?: string;
    readonly pid?: number;
  }
  /** Runs the program systemd-notify; rejects when that fails. */
  export default function notify(options: NotifyOptions): Promise<unknown>;
}
