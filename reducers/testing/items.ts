import { sha256 } from "@noble/hashes/sha2.js";
import { assert } from "../../core/assert.ts";
import type { Commitment, SnarkInfo } from "../../core/block.ts";
import { ascii, toHex } from "../../core/bytes.ts";
import type { ItemVerdict, TransactionInfo } from "../../core/chain.ts";
import type { PermitWindow, PoolMessage } from "../../core/channels/permits.ts";
import type { RpcResponse } from "../../core/channels/rpc.ts";
import type { Effect } from "../../core/effects.ts";
import { itemHash } from "../../core/hash.ts";
import type { AttemptId, Hash, JobId } from "../../core/ids.ts";
import { appendEntry, type PoolLog } from "../../core/pool-log.ts";
import { commitmentBytes, entryFor, hashOf, type PoolInfo, type PoolName } from "../../core/pools.ts";
import type { State } from "../../core/state.ts";
import { type Infos, infos, response, say } from "./messages.ts";
import { freshRequestId, type Party, type TestNode } from "./node.ts";
import { closeTransport, liveOf, readyPeer, type TestPeer, WITHOUT_TIPS } from "./peers.ts";
import { effectOf, effectsOf, type Result, requestsTo, sentOn } from "./results.ts";

// What is in pools, and how it gets there.

/** An item as far as peers care: bytes with a hash, and what is said of them. */
export interface Item<Info extends PoolInfo = PoolInfo> {
  readonly pool: PoolName;
  readonly hash: Hash;
  readonly bytes: Uint8Array;
  readonly info: Info;
}

export function itemOf(name: string, fee = 100n, nonce = 0, sender = name): Item<TransactionInfo> {
  const bytes = ascii(`item ${name}`);
  const hash = itemHash(bytes) as Hash;
  return {
    pool: "transaction",
    hash,
    bytes,
    info: { hash, fee, sender: toHex(sha256(ascii(sender))), nonce },
  };
}

/** Work for a job; of one job each name is another piece. */
export function snarkOf(name: string, fee = 100n, job = name): Item<SnarkInfo> {
  const bytes = ascii(`snark ${name}`);
  const hash = itemHash(bytes) as Hash;
  return {
    pool: "snark",
    hash,
    bytes,
    info: { jobId: jobOf(job), hash, fee, prover: toHex(sha256(ascii(`prover ${name}`))) },
  };
}

export function commitmentOf(name: string, issuedMs: number, fee = 100n, job = name): Item<Commitment> {
  const info: Commitment = {
    jobId: jobOf(job),
    fee,
    snarker: toHex(sha256(ascii(`snarker ${name}`))),
    issuedAt: BigInt(issuedMs),
    signature: "5a".repeat(64),
  };
  return { pool: "snark-job-commitment", hash: hashOf(info), bytes: commitmentBytes(info), info };
}

export const jobOf = (name: string): JobId => toHex(sha256(ascii(`job ${name}`))) as JobId;

export const valid = ({ info }: Pick<Item, "info">): ItemVerdict => ({ tag: "valid", info });
export const INVALID: ItemVerdict = { tag: "invalid", detail: "bad" };
export const NOT_NOW: ItemVerdict = { tag: "notNow", detail: "later" };

/** The windows that the peer may answer, oldest first. */
export function windowsOf(node: TestNode, peer: Party, pool: PoolName = "transaction") {
  const ours = liveOf(node, peer)?.pools[pool]?.ours;
  assert(ours?.tag === "permitGiven", "the peer holds a permit");
  return ours.windows;
}

/** `seq` of the permit that the peer holds. */
export const permitOf = (node: TestNode, peer: Party, pool: PoolName = "transaction"): number =>
  windowsOf(node, peer, pool).at(-1)?.seq ?? -1;

/** The peer announces these, all of one pool, with the permit it holds. */
export function announce(
  node: TestNode,
  peer: TestPeer,
  items: readonly Item[],
  changes: Partial<Pick<Infos, "cursor" | "rest">> = {},
): Result {
  const pool = items[0]?.pool ?? "transaction";
  const all = items.map(({ info }) => info);
  return say(node, peer.attemptId, infos(permitOf(node, peer, pool), all, changes, pool));
}

/** What a peer that has these answers to a request for them; null is what it does not have. */
export const found = (...items: readonly (Pick<Item, "bytes"> | null)[]): RpcResponse => ({
  tag: "items",
  found: items.map((item) => (item === null ? { tag: "none" } : { tag: "some", bytes: item.bytes })),
});

/** The peer serves what it was asked for. */
export const serve = (
  node: TestNode,
  peer: TestPeer,
  id: number,
  ...items: readonly (Pick<Item, "bytes"> | null)[]
): Result => say(node, peer.attemptId, response(id, found(...items)));

/** The chain has verified the one batch among the effects. */
export function verified(
  node: TestNode,
  effects: readonly Effect[],
  ...verdicts: readonly ItemVerdict[]
): Result {
  const { batchId } = effectOf(effects, "effect/verifyItems");
  return node.feed({ type: "event/itemsVerified", batchId, verdicts });
}

/** The operator submits one item. @returns the effects of its verdict */
export function submitOne(node: TestNode, item: Item, verdict: ItemVerdict = valid(item)): readonly Effect[] {
  const { pool, bytes } = item;
  assert(pool !== "snark-job-commitment", "a commitment is made by a worker");
  const { effects } = node.feed({ type: "command/submit", requestId: freshRequestId(), pool, bytes });
  return verified(node, effects, verdict).effects;
}

/** Puts transactions and work into their pools as the operator would. */
export const submit = (node: TestNode, items: readonly Item[]): readonly Effect[] =>
  items.flatMap((item) => submitOne(node, item));

/**
 * The peer announces an item, serves it if it is asked, and the chain finds it valid.
 * @returns the effects of the verdict, if there was to be one
 */
export function tell(
  node: TestNode,
  peer: TestPeer,
  item: Item,
  changes: Parameters<typeof announce>[3] = {},
): readonly Effect[] {
  let { effects } = announce(node, peer, [item], changes);
  for (const { id } of requestsTo(effects, peer.attemptId)) effects = serve(node, peer, id, item).effects;
  const isUnknown = effectsOf(effects, "effect/verifyItems").length > 0;
  return isUnknown ? verified(node, effects, valid(item)).effects : [];
}

/**
 * Puts items into their pools that are not the node's own: a passer-by announces them and leaves.
 * @returns the effects of the verdicts
 */
export function bring(node: TestNode, items: readonly Item[]): readonly Effect[] {
  const bringer = readyPeer(node, "bringer", WITHOUT_TIPS);
  const effects = items.flatMap((item, index) =>
    tell(node, bringer, item, { cursor: { epoch: 2n, next: BigInt(index + 1) } }),
  );
  closeTransport(node, bringer.attemptId);
  return effects;
}

/** A state whose pools hold these, as if they had always been there. */
export function holding(state: State, items: readonly Item[]): State {
  const pools: { -readonly [Name in PoolName]: PoolLog<PoolInfo> } = { ...state.pools };
  for (const { pool, info } of items)
    pools[pool] = appendEntry<PoolInfo>(pools[pool], entryFor(info, state.timeMs)).pool;
  return { ...state, pools: pools as State["pools"] };
}

/** The hashes of a pool, in order. */
export const poolOf = (node: TestNode, pool: PoolName = "transaction"): readonly Hash[] => [
  ...node.state.pools[pool].entries.keys(),
];

/** The permits among the effects, for one peer. */
export const permitsIn = (
  effects: readonly Effect[],
  { attemptId }: TestPeer,
  pool: PoolName = "transaction",
) =>
  poolMessages(effects, attemptId, pool).flatMap((message) => (message.tag === "getNext" ? [message] : []));

/** The windows among the effects, of permits and Refloors. */
export const windowsIn = (
  effects: readonly Effect[],
  { attemptId }: TestPeer,
  pool: PoolName = "transaction",
): readonly PermitWindow[] =>
  poolMessages(effects, attemptId, pool).flatMap((message) =>
    message.tag === "infos" ? [] : [message.window],
  );

/** The announcements among the effects, to one peer. */
export const infosIn = (
  effects: readonly Effect[],
  { attemptId }: TestPeer,
  pool: PoolName = "transaction",
): readonly Infos[] =>
  poolMessages(effects, attemptId, pool).flatMap((message) => (message.tag === "infos" ? [message] : []));

const poolMessages = (
  effects: readonly Effect[],
  attemptId: AttemptId,
  pool: PoolName,
): readonly PoolMessage[] =>
  sentOn(effects, attemptId).flatMap((said) => (said.channel === pool ? [said.message] : []));
