import { type Hex, toHex, uintBytes } from "../core/bytes.ts";
import type { TransactionInfo } from "../core/chain.ts";
import { freshControl } from "../core/channels/control.ts";
import { freshRpc } from "../core/channels/rpc.ts";
import { freshTransaction } from "../core/channels/transaction.ts";
import { hash } from "../core/hash.ts";
import { toPeerId } from "../core/identity.ts";
import type { AttemptId, Hash, PeerId } from "../core/ids.ts";
import { appendEntry, emptyPool } from "../core/pool-log.ts";
import { transactionPriority } from "../core/priority.ts";
import { SortedMap } from "../core/sorted-map.ts";
import { type Attempt, initialState, type Peer, type State } from "../core/state.ts";
import { slotOf } from "../reducers/fetch.ts";

/** States of a given size, made directly: reaching them by inputs would take minutes. */

export const START_MS = 1_800_000_000_000;
const UNLIMITED = { burst: 1_000_000, perSecond: 1_000_000 };

const bytesOf = (label: string, number: number): Uint8Array => hash(label, uintBytes(number, 4));

export const hashOf = (number: number): Hash => toHex(bytesOf("bench/item", number)) as Hash;
export const peerIdOf = (number: number): PeerId => toPeerId(bytesOf("bench/peer", number));
export const attemptIdOf = (peer: number): AttemptId => (peer + 1) as AttemptId;

export const infoOf = (number: number): TransactionInfo => ({
  hash: hashOf(number),
  fee: BigInt(1 + (number % 1_000)),
  sender: toHex(bytesOf("bench/sender", number % 64)),
  nonce: number,
});

/** A node with that many ready peers and that many transactions, which every peer was offered already. */
export function stateWith(peers: number, transactions: number): State {
  const publicKey: Hex = toHex(bytesOf("bench/self", 0));
  const state = initialState(
    {
      peerId: toPeerId(bytesOf("bench/self", 0)),
      publicKey,
      chainId: publicKey,
      userAgent: "bench",
      listen: null,
      peersMax: peers + 10,
      allowPrivateCandidates: true,
      admission: {
        ip: UNLIMITED,
        group: UNLIMITED,
        global: UNLIMITED,
        halfOpenMax: 64,
        halfOpenPerGroupMax: 64,
      },
    },
    publicKey,
    START_MS,
  );
  let pool = emptyPool<TransactionInfo>(1n);
  for (let number = 0; number < transactions; number++) {
    const info = infoOf(number);
    const slot = slotOf(info.sender, info.nonce);
    pool = appendEntry(pool, {
      hash: info.hash,
      slot,
      priority: transactionPriority(info),
      info,
      addedMs: START_MS,
    }).pool;
  }
  const numbers = Array.from({ length: peers }, (_, number) => number);
  return {
    ...state,
    nextAttemptId: peers + 1,
    transactions: pool,
    attempts: SortedMap.from(numbers.map((number) => [attemptIdOf(number), readyAttempt(number)])),
    peers: SortedMap.from(numbers.map((number) => [peerIdOf(number), readyPeer(number, transactions)])),
  };
}

function readyAttempt(number: number): Attempt {
  return {
    id: attemptIdOf(number),
    direction: "incoming",
    startedMs: START_MS,
    phase: { tag: "ready" },
    peerId: peerIdOf(number),
    remote: { address: "127.0.0.1", group: "127.0.0.0/24" },
    target: null,
    requestId: null,
    nonce: "",
    issuedAtMs: START_MS,
    offerHash: "",
    session: "",
    fingerprint: "",
    hasTransport: true,
    connected: true,
    opened: ["control", "transaction", "rpc"],
    hello: { version: 1, userAgent: "bench", channels: 145 },
    early: [],
  };
}

function readyPeer(number: number, cursor: number): Peer {
  const transaction = freshTransaction(START_MS);
  return {
    peerId: peerIdOf(number),
    dialing: null,
    answering: null,
    live: {
      attemptId: attemptIdOf(number),
      direction: "incoming",
      sinceMs: START_MS,
      version: 1,
      userAgent: "bench",
      control: freshControl(START_MS),
      transaction: {
        ...transaction,
        cursor,
        ours: {
          tag: "permitGiven",
          limit: 32,
          sinceMs: START_MS,
          windows: [{ seq: 0, floor: null, band: null }],
        },
        nextSeq: 1,
      },
      rpc: freshRpc(),
      fetching: null,
      blocked: [],
      probe: null,
    },
  };
}
