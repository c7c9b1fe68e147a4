import { bodySchema, commitmentSchema, headerSchema, snarkInfoSchema } from "../block.ts";
import {
  bytesUpTo,
  hex,
  type Infer,
  refined,
  string,
  struct,
  u8,
  u16,
  u32,
  u64,
  union,
  vec,
} from "../codec/schema.ts";
import type { Hash } from "../ids.ts";
import {
  ADDRESS_BYTES_MAX,
  ANCESTRY_MAX,
  ITEM_BYTES_MAX,
  PEERS_ANSWER_MAX,
  RPC_HASHES_MAX,
} from "../limits.ts";
import type { Budget } from "./control.ts";
import { cursorSchema, transactionInfoSchema } from "./permits.ts";

const POOLS = 3;
const pool = refined(u8, (value) => (value < POOLS ? null : `pool ${value} is unknown`));
const hashes = vec(hex<Hash>(32), RPC_HASHES_MAX, 1);

const rangeSchema = struct({
  from: u64,
  to: u64,
  body: union({ fingerprint: { count: u32, xor: u64, sum: u64 }, ids: { ids: vec(u64, 4096) } }),
});

/** Sorted and disjoint, each from its first to its last id inclusive. */
const rangesSchema = refined(vec(rangeSchema, 256), (ranges) =>
  ranges.every(({ from, to }, index) => from <= to && from > (ranges[index - 1]?.to ?? -1n))
    ? null
    : "ranges are not sorted and disjoint",
);

/** 7.7 */
const rpcRequestSchema = union({
  bestTip: {},
  block: { hash: hex<Hash>(32) },
  transactions: { hashes },
  snarks: { hashes },
  ancestry: {
    hash: hex<Hash>(32),
    count: refined(u16, (count) => (count <= ANCESTRY_MAX ? null : `count ${count} exceeds ${ANCESTRY_MAX}`)),
  },
  peers: {},
  reconcile: { pool, salt: u64, ranges: rangesSchema },
  infosByShortId: { pool, salt: u64, ids: vec(u64, 256, 1) },
});

const foundSchema = union({ none: {}, some: { bytes: bytesUpTo(ITEM_BYTES_MAX) }, stream: {} });
export type Found = Infer<typeof foundSchema>;

const rpcResponseSchema = union({
  notFound: {},
  busy: {},
  bestTip: { header: headerSchema },
  block: { header: headerSchema, body: bodySchema },
  items: { found: vec(foundSchema, RPC_HASHES_MAX, 1) },
  ancestry: { headers: vec(headerSchema, ANCESTRY_MAX) },
  peers: { addresses: vec(string(ADDRESS_BYTES_MAX), PEERS_ANSWER_MAX) },
  reconcile: { cursor: cursorSchema, ranges: rangesSchema },
  infos: {
    infos: union({
      transactions: { items: vec(transactionInfoSchema, 256) },
      snarks: { items: vec(snarkInfoSchema, 256) },
      commitments: { items: vec(commitmentSchema, 256) },
    }),
  },
});

export type RpcRequest = Infer<typeof rpcRequestSchema>;
export type RpcResponse = Infer<typeof rpcResponseSchema>;

export const rpcSchema = union({
  request: { id: u32, body: rpcRequestSchema },
  response: { id: u32, body: rpcResponseSchema },
});

export type RpcMessage = Infer<typeof rpcSchema>;

export type Range = Infer<typeof rangeSchema>;

/** Who asked, and is told what came of it. */
export type RpcPurpose = "fetch" | "sync" | "reconcile" | "book";

/** Both directions of the channel with one peer. Ids start at 0 and grow by 1 in each. */
export interface RpcChannel {
  readonly nextId: number;
  /** Our requests without a response, at most RPC_OPEN_MAX, oldest first. */
  readonly ours: readonly OurRequest[];
  readonly theirNextId: number;
  /** The peer's requests that we have not answered yet, at most RPC_OPEN_MAX. */
  readonly theirs: readonly TheirRequest[];
  /** Since when all our slots are blocked by requests that timed out; null while one is usable. */
  readonly blockedSinceMs: number | null;
  /** The fastest answer so far, ms; null before the first. */
  readonly fastestMs: number | null;
  /** Items that the peer has served in time. */
  readonly served: number;
  /** What the peer may still ask for, by the kind of request; full where nothing is said. */
  readonly budgets: { readonly [Kind in RpcRequest["tag"]]?: Budget };
}

export interface OurRequest {
  readonly id: number;
  readonly sentMs: number;
  readonly purpose: RpcPurpose;
  readonly body: RpcRequest;
  /** A request that timed out keeps its slot until its response arrives, which is then ignored. */
  readonly abandoned: boolean;
}

export interface TheirRequest {
  readonly id: number;
  readonly body: RpcRequest;
  /** The answer is not begun: the transport took nothing more when the request came. */
  readonly waits: boolean;
}

export const freshRpc = (): RpcChannel => ({
  nextId: 0,
  ours: [],
  theirNextId: 0,
  theirs: [],
  blockedSinceMs: null,
  fastestMs: null,
  served: 0,
  budgets: {},
});
