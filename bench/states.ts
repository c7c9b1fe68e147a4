import { type BlockHeader, tipOf } from "../core/block.ts";
import { type Hex, toHex, uintBytes } from "../core/bytes.ts";
import type { TransactionInfo } from "../core/chain.ts";
import { freshControl } from "../core/channels/control.ts";
import { freshPermits } from "../core/channels/permits.ts";
import { freshRpc } from "../core/channels/rpc.ts";
import { hash } from "../core/hash.ts";
import { toPeerId } from "../core/identity.ts";
import type { AttemptId, Hash, PeerId } from "../core/ids.ts";
import { SUB_WINDOWS } from "../core/limits.ts";
import { appendEntry, emptyPool, type NewEntry } from "../core/pool-log.ts";
import { entryFor } from "../core/pools.ts";
import { SortedMap } from "../core/sorted-map.ts";
import { type Attempt, initialState, type Peer, type State } from "../core/state.ts";
import { freshRecord } from "../reducers/fetch-record.ts";

/** States of a given size, made directly: reaching them by inputs would take minutes. */

export const START_MS = 1_800_000_000_000;
const UNLIMITED = { burst: 1_000_000, perSecond: 1_000_000 };

const ZERO = "00".repeat(32) as Hash;

const GENESIS: BlockHeader = {
  parent: ZERO,
  height: 0,
  slot: 0,
  epoch: 0,
  consensus: {
    minWindowDensity: 0,
    subWindowDensities: Array.from({ length: SUB_WINDOWS }, () => 0),
    vrfOutput: ZERO,
    stakingLock: ZERO,
    nextLock: ZERO,
  },
  creator: ZERO,
  timestamp: BigInt(START_MS),
  bodyRoot: ZERO,
  ledgerRoot: ZERO,
  signature: "00".repeat(64),
};

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
      peersMin: 0,
      allowPrivateCandidates: true,
      admission: {
        ip: UNLIMITED,
        group: UNLIMITED,
        global: UNLIMITED,
        halfOpenMax: 64,
        halfOpenPerGroupMax: 64,
      },
      chain: {
        slotsPerEpoch: 2_100,
        gracePeriodEnd: 2_100,
        genesisMs: START_MS,
        slotMs: 1_000,
        genesis: tipOf(GENESIS),
      },
      capacity: transactions + 10,
      produces: false,
      workFee: null,
    },
    publicKey,
    START_MS,
  );
  let pool = emptyPool<TransactionInfo>(1n);
  for (let number = 0; number < transactions; number++) {
    pool = appendEntry(pool, entryFor(infoOf(number), START_MS) as NewEntry<TransactionInfo>).pool;
  }
  const numbers = Array.from({ length: peers }, (_, number) => number);
  return {
    ...state,
    nextAttemptId: peers + 1,
    pools: { ...state.pools, transaction: pool },
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
    listen: null,
    requestId: null,
    via: null,
    nonce: "",
    issuedAtMs: START_MS,
    offerHash: "",
    session: "",
    fingerprint: "",
    isVerification: false,
    hasTransport: true,
    connected: true,
    selected: null,
    opened: ["control", "transaction", "rpc"],
    hello: { version: 1, userAgent: "bench", channels: 145 },
    early: [],
  };
}

function readyPeer(number: number, cursor: number): Peer {
  const transaction = freshPermits(START_MS, 0);
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
      discovery: null,
      exchange: null,
      bestTip: null,
      pools: {
        transaction: {
          ...transaction,
          cursor,
          // Of the same log as what is announced: it is known already, so nothing has to be reconciled.
          settled: { epoch: 1n, next: 0n },
          ours: {
            tag: "permitGiven",
            limit: 32,
            sinceMs: START_MS,
            windows: [{ seq: 0, floor: null, band: null, mark: 0 }],
          },
          nextSeq: 1,
        },
        snark: null,
        "snark-job-commitment": null,
      },
      rpc: freshRpc(),
      streaming: null,
      fetching: { transaction: null, snark: null },
      record: freshRecord(START_MS),
      blocked: [],
      probe: null,
    },
  };
}
