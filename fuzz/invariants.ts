import type { Action } from "../core/actions.ts";
import type { RpcMessage } from "../core/channels/rpc.ts";
import type { Effect } from "../core/effects.ts";
import { isAbove } from "../core/floors.ts";
import type { Hash, JobId, PeerId } from "../core/ids.ts";
import {
  ASKED_AT_ONCE_MAX,
  COMMITMENT_AGE_MAX_MS,
  RING_MAX,
  RPC_OPEN_MAX,
  SYNC_RETRY_MIN_MS,
} from "../core/limits.ts";
import { fromJson, toJson } from "../core/plain.ts";
import type { PoolEntry, PoolLog } from "../core/pool-log.ts";
import { type FetchedPool, POOL_NAMES, type PoolInfo, type PoolName } from "../core/pools.ts";
import { severity } from "../core/reasons.ts";
import type { Fetch, LivePeer, Promptness, State } from "../core/state.ts";
import { stateHash } from "../core/state-hash.ts";
import { floorOf } from "../reducers/pools.ts";
import { isPreferred } from "./chain-selection.ts";
import { compare } from "./oracle.ts";

/**
 * What is true in a simulated network beyond the invariants of every state (reducers/invariants.ts). Each function
 * returns what is wrong, in words; nothing if all is well. That they find a fault is proven in invariants.test.ts.
 */
export type Problems = readonly string[];

/**
 * What waits to be fetched is asked for as soon as one of its announcers can be asked. A slow one is not, while there
 * is a better one that was not asked: but then that one is busy, or it would have been.
 */
export function checkFetchProgress(state: State): Problems {
  const problems: string[] = [];
  for (const fetch of state.fetches.values()) {
    const idle = [...fetch.announcers.keys()].find((peerId) => couldAsk(state, fetch, peerId));
    if (idle === undefined) continue;
    problems.push(`${short(fetch.hash)} is ${fetch.stage.tag} and ${short(idle)} could be asked for it`);
  }
  return problems;
}

/** P09: what is being verified is not verified again, however many peers send it. */
export function checkBatches(before: State, { batches }: State): Problems {
  return [...batches.entries()].flatMap(([id, { isLocal, hashes }]) =>
    isLocal || before.batches.has(id)
      ? []
      : hashes.flatMap((hash) => {
          const stage = before.fetches.get(hash)?.stage;
          const isUnderWay = stage?.tag === "verifying" && batches.has(stage.batchId);
          return isUnderWay ? [`verifies ${short(hash)} twice at once`] : [];
        }),
  );
}

/** The state is plain data and survives its own recording. Costs the whole state: checked now and then. */
export function checkPlain(state: State): Problems {
  const again = fromJson(toJson(state)) as State;
  return stateHash(again) === stateHash(state) ? [] : ["the state is another after toJson and fromJson"];
}

/** So much of the state may be about one peer, as text: its unsettled infos are most of it. */
const PEER_CHARS_MAX = 65_536;

/** What a node remembers of a peer is bounded, whatever that peer does (P16). Now and then, as it takes long. */
export function checkPeerBytes({ peers }: State): Problems {
  return [...peers.values()].flatMap((peer) => {
    const { length } = JSON.stringify(toJson(peer));
    return length <= PEER_CHARS_MAX ? [] : [`keeps ${length} characters about ${short(peer.peerId)}`];
  });
}

/** Honest nodes never accuse each other of what only a liar does (section 1). @param isLiar who may be accused */
export function checkNoAccusation(
  actions: readonly Action[],
  isLiar: (attemptId: number) => boolean = () => false,
): Problems {
  const problems: string[] = [];
  for (const action of actions) {
    const isEnd = action.type === "connection/disconnect" || action.type === "connection/ended";
    if (isEnd && severity(action.reason) === "violation" && !isLiar(action.attemptId)) {
      problems.push(`${action.type} for ${action.reason}: ${action.detail}`);
    }
  }
  return problems;
}

/** P09: nothing is asked for that is in the pool, nor, but for a block, what the present tip refuses. */
export function checkAsked({ pools, refused, fetches }: State, message: RpcMessage): Problems {
  if (message.tag !== "request" || !("hashes" in message.body)) return [];
  const { tag, hashes } = message.body;
  const { entries } = pools[tag === "transactions" ? "transaction" : "snark"];
  return hashes.flatMap((hash) => {
    const why = entries.has(hash)
      ? "is in the pool"
      : refused.has(hash) && fetches.has(hash)
        ? "is refused"
        : null;
    return why === null ? [] : [`asked for ${short(hash)}, which ${why}`];
  });
}

/** Timers may be late by so much, ms: those of a process that stood still are looked at when it goes on. */
export const TIMER_MS = 1_000;

/** 7.6: whatever is due has been dropped. */
export function checkExpiry({ pools, timeMs }: State): Problems {
  const latestMs = timeMs - COMMITMENT_AGE_MAX_MS - TIMER_MS;
  return [...pools["snark-job-commitment"].entries.values()].flatMap(({ hash, info }) =>
    Number(info.issuedAt) < latestMs ? [`keeps commitment ${short(hash)} for too long`] : [],
  );
}

/** 7.6: nobody works on what the chain does not want any more, or on what somebody has done for no more. */
export function checkWork({ work, chain, pools, config }: State): Problems {
  return work.jobs.flatMap(({ jobId }) => {
    if (!chain.jobNumbers.has(jobId)) return [`works on ${short(jobId)}, which is no job any more`];
    const done = pools.snark.entries.get(pools.snark.bySlot.get(jobId) ?? ("" as Hash))?.info;
    const isDone = done !== undefined && config.workFee !== null && done.fee <= config.workFee;
    return isDone ? [`works on ${short(jobId)}, which is done`] : [];
  });
}

/** P20: a tip that was given up rests before it is pursued again. */
export function checkGivenUp(before: State, { sync, timeMs }: State): Problems {
  const hash = before.sync.pursuit?.tip.hash;
  if (hash === undefined || sync.pursuit?.tip.hash === hash) return [];
  const rest = sync.givenUp.get(hash);
  if (rest === undefined || rest === before.sync.givenUp.get(hash)) return [];
  return rest.untilMs >= timeMs + SYNC_RETRY_MIN_MS
    ? []
    : [`gives ${short(hash)} up and pursues it again at once`];
}

/** Promise of 7.4: whose submission is refused for another item's sake, that one is there. */
export function checkRefusals({ pools }: State, effects: readonly Effect[]): Problems {
  return effects.flatMap((effect) => {
    if (effect.type !== "effect/answerCommand" || effect.result.tag !== "conflict") return [];
    const [, holder] = /^(\S+) already holds this slot/.exec(effect.result.detail) ?? [];
    if (holder === undefined) return [];
    const isThere = POOL_NAMES.some((pool) => pools[pool].entries.has(holder as Hash));
    return isThere
      ? []
      : [`refuses an item for the sake of ${short(holder as Hash)}, which it does not have`];
  });
}

/** P31: a tip is left for a better one, and never for one that it is built on. Only from genesis every way leads up. */
export function checkTip({ chain: { tip, blocks }, config }: State, { chain }: State): Problems {
  if (chain.tip.hash === tip.hash || tip.hash === config.chain.genesis.hash) return [];
  const moved = `went from ${short(tip.hash)} to ${short(chain.tip.hash)}`;
  const problems: string[] = [];
  if (!isPreferred(chain.tip, tip, config.chain)) problems.push(`${moved}, which is not better`);
  for (let hash = tip.parent; ; ) {
    if (hash === chain.tip.hash) problems.push(`${moved}, which it is built on`);
    const block = blocks.get(hash);
    if (block === undefined) return problems;
    hash = block.parent;
  }
}

/** A block made while another tip was being adopted is next, if it is better than that one. */
export function checkProduced(before: State, { chain, config, sync }: State): Problems {
  const { produced } = before.sync;
  if (produced === null || sync.produced !== null || sync.adopting === produced.hash) return [];
  const isLeft = sync.left.includes(produced.hash) || chain.tip.parent === produced.hash;
  if (isLeft || !isPreferred(produced, chain.tip, config.chain)) return [];
  return [`forgets ${short(produced.hash)}, which it has made and which is better than its tip`];
}

/**
 * Nothing leaves a pool but for one of these reasons: something greater has its slot, the pool is full of greater ones,
 * the chain has no use for it, or it is too old. After the first two it is still served for a while, for peers that
 * were told of it may be about to ask.
 */
export function checkNothingLost(
  before: Pick<State, "pools">,
  after: State,
  actions: readonly Action[],
): Problems {
  const problems: string[] = [];
  for (const pool of POOL_NAMES) {
    const [old, now]: readonly PoolLog<PoolInfo>[] = [before.pools[pool], after.pools[pool]];
    if (old === undefined || now === undefined || old === now) continue;
    const gone = [...old.entries.values()].filter(({ hash }) => !now.entries.has(hash));
    if (gone.length === 0) continue;
    const dropped = droppedBy(actions);
    for (const entry of gone) {
      if (dropped(entry.info, after.timeMs)) continue;
      const name = short(entry.hash);
      if (!isReplaced(now, entry) && !isCrowdedOut(after, pool, entry))
        problems.push(`${name} left the ${pool} pool for no reason`);
      else if (!isServedStill(after, pool, entry.hash))
        problems.push(`${name} left the ${pool} pool and its bytes are gone`);
    }
  }
  return problems;
}

/** What is left of a node that has no connection, is dialing nobody and was given time to forget. */
export function checkBaseline(state: State): Problems {
  const left = {
    attempts: state.attempts.size,
    peers: state.peers.size,
    waiting: POOL_NAMES.reduce((sum, pool) => sum + state.waiting[pool].size, 0),
    fetches: state.fetches.size,
    batches: state.batches.size,
    replays: state.admission.replays.size,
    deadlines: state.deadlines.byName.size - state.resumes.size,
  };
  return Object.entries(left).flatMap(([name, count]) => (count === 0 ? [] : [`${count} ${name} are left`]));
}

const liveOf = ({ peers }: State, peerId: PeerId): LivePeer | null => peers.get(peerId)?.live ?? null;

function couldAsk(state: State, { pool, announcers, stage }: Fetch, peerId: PeerId): boolean {
  // A commitment is complete in itself: it never waits.
  if (pool === "snark-job-commitment") return stage.tag !== "verifying";
  const asked = stage.tag === "requested" ? stage.from : [];
  const live = liveOf(state, peerId);
  if (stage.tag === "verifying" || asked.includes(peerId) || live === null || isBusy(live, pool))
    return false;
  const rank = RANKS.indexOf(live.record.promptness);
  const rankOf = (other: PeerId): number => RANKS.indexOf(liveOf(state, other)?.record.promptness ?? "slow");
  const awaited = asked.filter((other) => rank === 0 || rankOf(other) > 0).length;
  const isLate = stage.tag === "requested" && stage.isLate;
  if (awaited > 0 && !(isLate && awaited < ASKED_AT_ONCE_MAX)) return false;
  // A slow one yields also to those who are busy.
  const isBetter = (other: PeerId): boolean => {
    const better = asked.includes(other) || rankOf(other) <= rank ? null : liveOf(state, other);
    return better !== null && (live.record.promptness === "slow" || !isBusy(better, pool));
  };
  return ![...announcers.keys()].some(isBetter);
}

const RANKS: readonly Promptness[] = ["slow", "new", "prompt"];

/** It is being asked for something, or cannot be asked: it is asked again when that is over. */
const isBusy = ({ fetching, rpc, blocked }: LivePeer, pool: FetchedPool): boolean =>
  fetching[pool] !== null || blocked.includes("rpc") || (rpc?.ours.length ?? RPC_OPEN_MAX) >= RPC_OPEN_MAX;

function isReplaced({ bySlot, entries }: PoolLog<PoolInfo>, { slot, info }: PoolEntry<PoolInfo>): boolean {
  const holder = entries.get(bySlot.get(slot) ?? ("" as Hash));
  return holder !== undefined && compare(holder.info, info) < 0;
}

function isCrowdedOut(state: State, pool: PoolName, { priority }: PoolEntry<PoolInfo>): boolean {
  const floor = floorOf(state, pool);
  return floor !== null && !isAbove(priority, floor);
}

function isServedStill({ local, rings }: State, pool: PoolName, hash: Hash): boolean {
  const { numbers } = rings[pool];
  return local.has(hash) || numbers.has(hash) || numbers.size >= RING_MAX;
}

function droppedBy(actions: readonly Action[]): (info: PoolInfo, nowMs: number) => boolean {
  const [removed, jobs] = [new Set<Hash>(), new Set<JobId>()];
  for (const action of actions) {
    if (action.type !== "pool/followTip") continue;
    for (const hash of action.change.removed) removed.add(hash);
    for (const jobId of action.change.jobsRemoved) jobs.add(jobId);
  }
  return (info, nowMs) => {
    if ("nonce" in info) return removed.has(info.hash);
    if (jobs.has(info.jobId)) return true;
    return "issuedAt" in info && Number(info.issuedAt) + COMMITMENT_AGE_MAX_MS <= nowMs;
  };
}

const short = (id: Hash | JobId | PeerId): string => id.slice(-8);
