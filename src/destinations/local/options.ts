import { z } from "zod";

const modeHint = "a mode in quotes, such as";

export const localOptions = z.strictObject({
  path: z
    .string()
    .regex(/^\/[^\0]*$/, "must be an absolute path")
    .describe("Directory that keeps the backups; made by `holdfast destination init NAME`"),
  directoryMode: z
    .string(`must be ${modeHint} "0750"`)
    .regex(/^[02]?7[0-7][0145]$/, `must be ${modeHint} "0750"; the owner has all rights, others cannot write`)
    .default("0750")
    .describe("Mode of directories, octal, whatever the umask"),
  fileMode: z
    .string(`must be ${modeHint} "0640"`)
    .regex(/^0?[67][0-7][0145]$/, `must be ${modeHint} "0640"; the owner reads and writes, others cannot write`)
    .default("0640")
    .describe("Mode of files, octal, whatever the umask"),
  owner: z
    .string()
    .regex(/^[^:\s]+:[^:\s]+$/, 'must be "user:group"')
    .optional()
    .describe("Owner of what is written, user:group; the service's own user by default"),
});

export type LocalOptions = z.infer<typeof localOptions>;
