import { createServer } from "node:net";

const TRIES_MAX = 50;
const PORT_MAX = 65_535;

/** The first port from `from` on that nothing listens on, and that is not taken already; undefined if none is near. */
export async function freePort(
  host: string,
  from: number,
  taken: readonly number[] = [],
): Promise<number | undefined> {
  const last = Math.min(PORT_MAX, from + TRIES_MAX);
  for (let port = from; port <= last; port++) {
    if (!taken.includes(port) && (await isFree(host, port))) return port;
  }
  return undefined;
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
