import type { TransportEvent } from "../core/actions.ts";
import { assert } from "../core/assert.ts";
import type { AttemptId } from "../core/ids.ts";
import type { Transport } from "../core/services.ts";
import { Connection, type ConnectionOptions, type Traffic } from "./webrtc/connection.ts";
import { createInbox } from "./webrtc/inbox.ts";

export interface WebrtcOptions extends ConnectionOptions {
  /** Called once for each event, always later, never from within a method of the transport. */
  readonly emit: (event: TransportEvent) => void;
}

export interface WebrtcTransport extends Transport {
  /** Bytes of messages so far, without the overhead of the transport; undefined once the connection is over. */
  traffic(attemptId: AttemptId): Traffic | undefined;
  /** Attempts whose connection is not over. */
  readonly openConnections: number;
  /** Cuts every connection; each still ends with its `event/connectionClosed`. Then the process can exit. */
  closeAll(): void;
}

/**
 * The Transport over node-datachannel. Beyond the contract of core/services.ts: after `close` of either kind
 * nothing follows for the attempt but its `event/connectionClosed`, and everything that a peer sent before its
 * own graceful close is emitted before that. The second `create` of a living attempt is a bug.
 */
export function createWebrtcTransport({ emit, ...options }: WebrtcOptions): WebrtcTransport {
  const connections = new Map<AttemptId, Connection>();
  const inbox = createInbox<Connection>((connection) => connection.tellInboxFull());
  const create = (attemptId: AttemptId): Connection => {
    assert(!connections.has(attemptId), "an attempt has one connection");
    const connection = new Connection(attemptId, options, inbox, emit, () => connections.delete(attemptId));
    connections.set(attemptId, connection);
    return connection;
  };
  return {
    createOffer: (attemptId) => create(attemptId).offer(),
    createAnswer: (attemptId, sdp) => create(attemptId).answer(sdp),
    applyAnswer: (attemptId, sdp) => connections.get(attemptId)?.applyAnswer(sdp),
    addCandidates: (attemptId, candidates) => connections.get(attemptId)?.addCandidates(candidates),
    send: (attemptId, channel, bytes) => connections.get(attemptId)?.send(channel, bytes),
    close: (attemptId, graceful) => connections.get(attemptId)?.close(graceful),
    traffic: (attemptId) => connections.get(attemptId)?.traffic(),
    get openConnections() {
      return connections.size;
    },
    closeAll: () => {
      for (const connection of [...connections.values()]) connection.close(false);
    },
  };
}
