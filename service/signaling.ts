import type { SignalingEvent } from "../core/actions.ts";
import type { RequestId } from "../core/ids.ts";
import type { Signaling } from "../core/services.ts";
import type { ListenAddress } from "./listen.ts";
import { createSignalingClient } from "./signaling-client.ts";
import { startSignalingServer } from "./signaling-server.ts";
import type { ServerLimits } from "./signaling-sockets.ts";

export interface SignalingOptions {
  readonly emit: (event: SignalingEvent) => void;
  /** Where offers are answered; without it the node only dials. Port 0 takes a free one. */
  readonly listen?: ListenAddress | undefined;
  /** Addresses and CIDR ranges of the proxies whose X-Forwarded-For counts. */
  readonly trustedProxies?: readonly string[];
  /** For a composition in which other services number requests too. */
  readonly nextRequestId?: () => RequestId;
  readonly limits?: Partial<ServerLimits>;
  /** How long a dialed listener has to answer. */
  readonly postTimeoutMs?: number | undefined;
}

export type NodeSignaling = Signaling & {
  /** The port that is listened on; null for a node that only dials. */
  readonly port: number | null;
  /** Answers what is open with 503, fails the open posts, and closes all sockets. Idempotent. */
  close(): Promise<void>;
};

/**
 * Signaling over HTTP (3.1), both directions. Events are emitted later, never from within a call.
 * @throws Error of the system, with its code, if the address cannot be listened on; another if a proxy is no address
 */
export async function createSignaling(options: SignalingOptions): Promise<NodeSignaling> {
  const { emit: deliver, listen, nextRequestId = countRequests() } = options;
  // Outside of every promise and callback: an error thrown by the core must reach the composition root.
  const emit = (event: SignalingEvent): void => {
    setImmediate(() => deliver(event));
  };
  const client = createSignalingClient({ emit, postTimeoutMs: options.postTimeoutMs });
  const server =
    listen === undefined
      ? undefined
      : await startSignalingServer({
          emit,
          listen,
          nextRequestId,
          trustedProxies: options.trustedProxies ?? [],
          limits: options.limits ?? {},
        });
  return {
    port: server?.port ?? null,
    post: client.post,
    reply: (requestId, reply) => server?.reply(requestId, reply),
    close: async () => {
      client.close();
      await server?.close();
    },
  };
}

/** Numbers requests from 1. */
export function countRequests(): () => RequestId {
  let last = 0;
  return () => ++last as RequestId;
}
