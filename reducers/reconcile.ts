import type { ReconcileAction } from "../core/actions/reconcile.ts";
import type { Reconciliation } from "../core/channels/permits.ts";
import type { RpcRequest, RpcResponse } from "../core/channels/rpc.ts";
import type { Hash, PeerId } from "../core/ids.ts";
import { INFOS_MAX, RECONCILE_POOL_MIN, RECONCILE_ROUNDS_MAX, RECONCILE_TIMEOUT_MS } from "../core/limits.ts";
import type { PoolLog } from "../core/pool-log.ts";
import { hashOf, POOL_NAMES, type PoolInfo, type PoolName } from "../core/pools.ts";
import { GREATEST_PRIORITY } from "../core/priority.ts";
import { answerRanges, compareAnswer, openingQuestions, questionRanges } from "../core/reconcile.ts";
import { drawHex } from "../core/rng.ts";
import { createIndex, hashOfShortId, type SetIndex, shortId } from "../core/set-index.ts";
import type { SortedMap } from "../core/sorted-map.ts";
import type { State } from "../core/state.ts";
import { accuse } from "./channels/violation.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { forgetWake, liveAttempt, livePeer, permitsOf, updatePermits, wakeAt } from "./state.ts";

/**
 * 7.7, Reconcile: two nodes that know nothing of each other's logs find out what one of them lacks, instead of telling
 * everything. The permit of that pool is withheld meanwhile.
 */

type ReconcileRequest = Extract<RpcRequest, { tag: "reconcile" }>;
type InfosRequest = Extract<RpcRequest, { tag: "infosByShortId" }>;

export const reconcile: Rules<ReconcileAction> = {
  "reconcile/answered": {
    enabled: (state, { peerId, request }) => openWith(state, peerId, request) !== undefined,
    reduce: (draft, { peerId, request, response }, context) => {
      const open = openWith(draft, peerId, request);
      if (open === undefined) return;
      const { pool, found } = open;
      if (response?.tag === "reconcile") compare(draft, peerId, pool, found, response, context);
      else if (response?.tag === "infos" && request.tag === "infosByShortId") {
        announceMissing(draft, peerId, pool, found, request.ids, response.infos.items, context);
      } else finish(draft, peerId, pool, { ...found, isComplete: false }, context);
    },
  },

  "reconcile/expire": {
    enabled: (state, { pool, peerId, attemptId }) =>
      liveAttempt(state, peerId, attemptId)?.pools[pool]?.ours.tag === "reconciling",
    reduce: (draft, { pool, peerId }, context) => {
      const channel = permitsOf(draft, peerId, pool);
      if (channel?.ours.tag !== "reconciling") return;
      finish(draft, peerId, pool, { ...channel.ours.found, isComplete: false }, context);
    },
  },
};

/** With a small pool, being told everything is cheaper. */
export const needsReconcile = (state: State, pool: PoolName): boolean =>
  state.pools[pool].entries.size > RECONCILE_POOL_MIN;

/** The permit is withheld until it is known what the peer has and we lack. */
export function beginReconcile(draft: StateDraft, peerId: PeerId, pool: PoolName, context: Context): void {
  const live = livePeer(draft, peerId);
  if (live === undefined) return;
  const salt = BigInt(`0x${drawHex(draft, 8)}`);
  const found: Reconciliation = {
    salt,
    sinceMs: draft.timeMs,
    mark: draft.floors[pool].mark,
    cursor: null,
    questions: openingQuestions(indexOf(draft.pools[pool], salt)),
    rounds: 0,
    missing: [],
    isComplete: true,
  };
  const { attemptId } = live;
  updatePermits(draft, peerId, pool, (channel) => {
    channel.hasReconciled = true;
  });
  wakeAt(draft, `reconcile ${pool} ${attemptId}`, draft.timeMs + RECONCILE_TIMEOUT_MS, {
    type: "reconcile/expire",
    pool,
    peerId,
    attemptId,
  });
  askRanges(draft, peerId, pool, found, context);
}

/** Goes on with what is still lacking after some of it was announced and settled; or gives the next permit. */
export function resumeReconcile(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  found: Reconciliation,
  context: Context,
): void {
  const isLate = draft.timeMs >= found.sinceMs + RECONCILE_TIMEOUT_MS;
  if (found.missing.length > 0 && !isLate) askInfos(draft, peerId, pool, found, context);
  else finish(draft, peerId, pool, { ...found, isComplete: found.missing.length === 0 }, context);
}

/** What the peer's ranges say of ours. */
export function answerReconcile(state: State, { pool: number, salt, ranges }: ReconcileRequest): RpcResponse {
  const log: PoolLog<PoolInfo> = state.pools[POOL_NAMES[number] ?? "transaction"];
  const cursor = { epoch: log.epoch, next: BigInt(log.nextIndex) };
  return { tag: "reconcile", cursor, ranges: answerRanges(indexOf(log, salt), ranges) };
}

/** Ids that we do not have, any more or at all, are left out. */
export function answerInfos(state: State, { pool: number, salt, ids }: InfosRequest): RpcResponse {
  const pool = POOL_NAMES[number] ?? "transaction";
  const find = <Info>(log: PoolLog<Info>): readonly Info[] => {
    const index = indexOf(log, salt);
    const entries = ids.map((id) => log.entries.get(hashOfShortId(index, id) ?? NO_HASH));
    return entries.flatMap((entry) => (entry === undefined ? [] : [entry.info]));
  };
  const { transaction, snark, "snark-job-commitment": commitment } = state.pools;
  switch (pool) {
    case "transaction":
      return { tag: "infos", infos: { tag: "transactions", items: find(transaction) } };
    case "snark":
      return { tag: "infos", infos: { tag: "snarks", items: find(snark) } };
    case "snark-job-commitment":
      return { tag: "infos", infos: { tag: "commitments", items: find(commitment) } };
  }
}

/** Making the index of a pool costs its size. */
export const reconcileCost = (state: State, { pool: number }: ReconcileRequest | InfosRequest): number =>
  1 + state.pools[POOL_NAMES[number] ?? "transaction"].entries.size;

const NO_HASH = "" as Hash;

interface RememberedIndex {
  readonly salt: bigint;
  readonly index: SetIndex;
}

const indexes = new WeakMap<object, RememberedIndex>();

/** A reconciliation asks a few times with one salt; the pool is the same for most of it. */
function indexOf({ entries }: { readonly entries: SortedMap<Hash, unknown> }, salt: bigint): SetIndex {
  const known = indexes.get(entries);
  if (known?.salt === salt) return known.index;
  const index = createIndex(salt, entries.keys());
  indexes.set(entries, { salt, index });
  return index;
}

/** The reconciliation that waits for this answer. */
function openWith(
  state: State,
  peerId: PeerId,
  request: RpcRequest,
): { readonly pool: PoolName; readonly found: Reconciliation } | undefined {
  if (request.tag !== "reconcile" && request.tag !== "infosByShortId") return undefined;
  const pool = POOL_NAMES[request.pool];
  const ours = pool === undefined ? undefined : permitsOf(state, peerId, pool)?.ours;
  return pool !== undefined && ours?.tag === "reconciling" && ours.found.salt === request.salt
    ? { pool, found: ours.found }
    : undefined;
}

function compare(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  found: Reconciliation,
  { cursor, ranges }: Extract<RpcResponse, { tag: "reconcile" }>,
  context: Context,
): void {
  const index = indexOf(draft.pools[pool], found.salt);
  const { missing, again } = compareAnswer(index, found.questions, ranges);
  const learned: Reconciliation = {
    ...found,
    // What was appended since the first round is told by the log.
    cursor: found.cursor ?? cursor,
    questions: again,
    rounds: found.rounds + 1,
    missing: [...found.missing, ...missing],
  };
  // Where much is lacking - another capacity, a pool just begun - the log tells it for less, and above our floor only.
  const isHopeless =
    learned.rounds >= RECONCILE_ROUNDS_MAX || learned.missing.length > draft.pools[pool].entries.size / 4;
  if (isHopeless) finish(draft, peerId, pool, { ...learned, cursor: null }, context);
  else if (again.length > 0) askRanges(draft, peerId, pool, learned, context);
  else resumeReconcile(draft, peerId, pool, learned, context);
}

function askRanges(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  found: Reconciliation,
  context: Context,
): void {
  const { salt, questions } = found;
  const ranges = questionRanges(indexOf(draft.pools[pool], salt), questions);
  ask(
    draft,
    peerId,
    pool,
    found,
    { tag: "reconcile", pool: POOL_NAMES.indexOf(pool), salt, ranges },
    context,
  );
}

/** One message's worth at a time, as with any other announcement. */
function askInfos(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  found: Reconciliation,
  context: Context,
): void {
  const ids = found.missing.slice(0, INFOS_MAX);
  const left = { ...found, missing: found.missing.slice(INFOS_MAX) };
  const body = { tag: "infosByShortId", pool: POOL_NAMES.indexOf(pool), salt: found.salt, ids } as const;
  ask(draft, peerId, pool, left, body, context);
}

/** Without a free slot the request is declined, and the deadline ends the reconciliation. */
function ask(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  found: Reconciliation,
  body: ReconcileRequest | InfosRequest,
  { propose }: Context,
): void {
  updatePermits(draft, peerId, pool, (channel) => {
    channel.ours = { tag: "reconciling", found };
  });
  propose({ type: "rpc/request", peerId, purpose: "reconcile", body });
}

function announceMissing(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  found: Reconciliation,
  asked: readonly bigint[],
  infos: readonly PoolInfo[],
  context: Context,
): void {
  const live = livePeer(draft, peerId);
  const channel = permitsOf(draft, peerId, pool);
  if (live === undefined || channel === undefined) return;
  const unsettled = [...new Set(infos.map(hashOf))];
  if (!unsettled.every((hash) => asked.includes(shortId(found.salt, hash)))) {
    const violation = { reason: "responseMismatch", detail: "infos that were not asked for" } as const;
    accuse(live.attemptId, "rpc", violation, context);
  } else if (unsettled.length === 0) {
    resumeReconcile(draft, peerId, pool, found, context);
  } else {
    const cursor = channel.settled ?? NO_CURSOR;
    context.propose({ type: "pool/process", pool, peerId, infos, cursor, found });
  }
}

const NO_CURSOR = { epoch: 0n, next: 0n };

/** Gives the permit: from where the log stood in the first round; or from its beginning, if too little is known. */
function finish(
  draft: StateDraft,
  peerId: PeerId,
  pool: PoolName,
  { cursor, mark, isComplete }: Reconciliation,
  { propose }: Context,
): void {
  const live = livePeer(draft, peerId);
  if (live === undefined) return;
  updatePermits(draft, peerId, pool, (channel) => {
    channel.ours = { tag: "idle" };
    if (cursor === null) return;
    channel.settled = cursor;
    channel.resume = cursor;
    channel.lack = { below: isComplete ? null : GREATEST_PRIORITY, sinceMark: mark };
  });
  forgetWake(draft, `reconcile ${pool} ${live.attemptId}`);
  propose({ type: "pool/givePermit", pool, peerId });
}
