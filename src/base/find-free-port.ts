import { createServer } from "node:net";

/** A TCP port that is free at this moment: whoever is to listen on it may still lose it to somebody else. */
export async function findFreePort(bind: string): Promise<number> {
  const server = createServer();
  try {
    return await new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, bind, () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  } finally {
    server.close();
  }
}
