import { MESSAGE_BYTES_MAX } from "../../core/limits.ts";
import { createSharedThread, type SharedThreadOptions } from "../shared-thread.ts";

/**
 * What has arrived and waits to be read by the core: per peer in the order of arrival, over all its channels, and among
 * peers in turns. The library hands over up to 999 messages of one channel in a row, and all of them would be read
 * before anything of another peer.
 */
export interface Inbox<Party> {
  /** A message of so many bytes. Called from native callbacks, which it never runs anything in. */
  put(party: Party, bytes: number, read: () => void): void;
  /** Comes after all messages of the party. */
  putEnd(party: Party, read: () => void): void;
  /** What the party has sent is not read any more. */
  leave(party: Party): void;
}

/** However short it is, a message costs a step of the core: as much as some KB more of it. */
export const MESSAGE_COST_BYTES = 4_096;

/**
 * More than any peer may have sent before we have read it (law 2): 16 chunks, 4 requests and 4 answers, two messages of
 * each other channel, and the bursts of Pings and Refloors. However slowly we read: what allows a peer to send more is
 * sent by us after we have read.
 */
export const INBOX_COST_MAX = 64 * MESSAGE_BYTES_MAX;

/**
 * It is bounded: what a peer has sent beyond that is proof enough, and nothing of it is read.
 *
 * @param onFull is told of such a peer, whose connection is to be ended; called from native callbacks like `put`
 */
export function createInbox<Party>(
  onFull: (party: Party) => void,
  options: SharedThreadOptions = {},
): Inbox<Party> {
  const thread = createSharedThread<Party>(options);
  return {
    put: (party, bytes, read) => {
      thread.add(party, MESSAGE_COST_BYTES + bytes, read);
      if (thread.waiting(party) <= INBOX_COST_MAX) return;
      thread.leave(party);
      onFull(party);
    },
    putEnd: (party, read) => thread.add(party, 0, read),
    leave: thread.leave,
  };
}
