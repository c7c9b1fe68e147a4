import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { Problem } from "./problem.ts";

/**
 * The API has no password, so a page that the operator happens to visit must not be able to use it. Browsers tell
 * the truth in two headers: Origin (a request by another page) and Host (a name that was rebound to this address).
 * @throws Problem
 */
export function assertSameSite({ host, origin }: IncomingHttpHeaders, listenHost: string): void {
  const name = hostName(host);
  if (name === undefined || !(isIP(name) !== 0 || isOwnName(name, listenHost))) {
    throw new Problem("wrongHost", "use the IP address, localhost, or the name the node listens on as Host");
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host?.toLowerCase()}`) {
    throw new Problem("foreignOrigin", "the Origin of a request must be this API itself");
  }
}

const isOwnName = (name: string, listenHost: string): boolean =>
  name === "localhost" || name === listenHost.toLowerCase();

/** The host of a Host header without its port; undefined if it is none. */
function hostName(header: string | undefined): string | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(header ?? "");
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}
