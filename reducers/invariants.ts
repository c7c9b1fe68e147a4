import { type PermitChannel, unsettledOf } from "../core/channels/permits.ts";
import type { AttemptId, BatchId, Hash, PeerId } from "../core/ids.ts";
import {
  ACQUAINTED_MAX,
  ADMISSION_BUCKETS_MAX,
  GROUP_OFFENDERS_MAX,
  GROUPS_MAX,
  INFOS_MAX,
  OFFENDERS_MAX,
  RPC_OPEN_MAX,
} from "../core/limits.ts";
import { formatMultiaddr } from "../core/multiaddr.ts";
import type { PoolLog } from "../core/pool-log.ts";
import { FETCHED_POOLS, hashOf, POOL_NAMES, type PoolInfo, type PoolName } from "../core/pools.ts";
import { priorityKey } from "../core/priority.ts";
import type { Attempt, LivePeer, State } from "../core/state.ts";
import { checkBook, isBookDeadline } from "./book/invariants.ts";
import { requestedHashes } from "./fetch.ts";
import { isGateOpen } from "./gate.ts";
import { bannedUntil, closedUntil } from "./penalties.ts";
import { checkSignaling, isSignalingDeadline } from "./signaling/invariants.ts";
import { checkStreams, isStreamDeadline } from "./streams/invariants.ts";
import { checkSync } from "./sync/invariants.ts";

/**
 * What holds of every state between two inputs, whatever came before. The check remembers nothing; each rule is
 * shown to bite by invariants.test.ts.
 *
 * @returns one sentence for each invariant that is broken
 */
export function brokenInvariants(state: State): readonly string[] {
  const broken = POOL_NAMES.flatMap((pool) => brokenPoolInvariants(state.pools[pool]));
  const must: Must = (holds, invariant) => {
    if (!holds) broken.push(invariant);
  };
  checkSlots(state, must);
  for (const attempt of state.attempts.values()) checkAttempt(state, attempt, must);
  for (const { live } of state.peers.values()) if (live !== null) checkLive(state, live, must);
  checkBans(state, must);
  checkFetches(state, must);
  checkSync(state, must);
  checkStreams(state, must);
  checkSignaling(state, must);
  checkBook(state, must);
  checkDeadlines(state, must);
  checkBounds(state, must);
  return broken;
}

type Must = (holds: boolean, invariant: string) => void;

const NO_TRANSPORT: readonly Attempt["phase"]["tag"][] = [
  "openingOffer",
  "verifyingOffer",
  "probing",
  "sealingRejection",
];
const UNANSWERED: readonly Attempt["phase"]["tag"][] = [...NO_TRANSPORT, "answering", "sealingAnswer"];

const isUnfinished = ({ phase }: Attempt): boolean => phase.tag !== "ready" && phase.tag !== "closing";

function checkSlots(state: State, must: Must): void {
  must(state.peers.size <= state.config.peersMax, "peers <= peersMax (P34)");
  for (const [peerId, peer] of state.peers.entries()) {
    const { dialing, answering, live } = peer;
    must(peer.peerId === peerId, `slot ${peerId} names its key`);
    must(dialing !== null || answering !== null || live !== null, `slot ${peerId} is held by something`);
    const roles = [
      [dialing, "outgoing"],
      [answering, "incoming"],
    ] as const;
    for (const [attemptId, direction] of roles) {
      if (attemptId === null) continue;
      const attempt = state.attempts.get(attemptId);
      const holds = attempt?.direction === direction && attempt.peerId === peerId && isUnfinished(attempt);
      must(holds, `slot ${peerId} is held by an unfinished ${direction} attempt`);
    }
    if (live === null) continue;
    const attempt = state.attempts.get(live.attemptId);
    must(attempt?.phase.tag === "ready" && attempt.peerId === peerId, `live ${peerId} has a ready attempt`);
    must(attempt?.direction === live.direction, `live ${peerId} has the direction of its attempt`);
  }
}

function checkAttempt(state: State, attempt: Attempt, must: Must): void {
  const { id, phase, peerId, direction } = attempt;
  const name = `attempt ${id} (${phase.tag})`;
  must(id < state.nextAttemptId, `${name} has a number that was given`);
  const peer = peerId === null ? undefined : state.peers.get(peerId);
  must((phase.tag === "ready") === (peer?.live?.attemptId === id), `${name} is live exactly if it is ready`);
  must(
    attempt.hasTransport !== NO_TRANSPORT.includes(phase.tag),
    `${name} has a transport if its phase does`,
  );
  const isOpen = direction === "incoming" && UNANSWERED.includes(phase.tag);
  const waits = attempt.requestId !== null || (direction === "incoming" && attempt.via !== null);
  must(waits === isOpen, `${name} keeps its request until it is answered (P06)`);
  must(attempt.early.length === 0 || phase.tag !== "closing", `${name} keeps no early messages when closing`);
  must(attempt.early.length === 0 || phase.tag !== "ready", `${name} has processed its early messages`);
  if (isUnfinished(attempt) && peerId !== null) {
    const held = direction === "outgoing" ? peer?.dialing : peer?.answering;
    must(held === id || phase.tag === "sealingRejection", `${name} holds the slot of its key`);
  }
  if (phase.tag === "probing") {
    must(peer?.live?.probe?.attemptId === id, `${name} waits for the answer to a probe`);
  }
}

function checkLive(state: State, live: LivePeer, must: Must): void {
  const name = `live ${live.attemptId}`;
  const { probe, rpc, fetching, blocked } = live;
  if (probe !== null) {
    must(state.attempts.get(probe.attemptId)?.phase.tag === "probing", `${name} is probed for an attempt`);
    must(live.control.awaitingPong?.n === probe.n, `${name} was sent the ping of its probe`);
  }
  must(new Set(blocked).size === blocked.length, `${name} lists a blocked channel once`);
  if (rpc !== null) {
    must(
      rpc.ours.length <= RPC_OPEN_MAX && rpc.theirs.length <= RPC_OPEN_MAX,
      `${name} has 4 slots each way`,
    );
    const isBlocked = rpc.ours.length === RPC_OPEN_MAX && rpc.ours.every(({ abandoned }) => abandoned);
    must(isBlocked === (rpc.blockedSinceMs !== null), `${name} knows whether its slots are blocked`);
  }
  for (const pool of FETCHED_POOLS) {
    if (fetching[pool] === null) continue;
    const request = rpc?.ours.find(({ id }) => id === fetching[pool]);
    must(request?.purpose === "fetch" && !request.abandoned, `${name} fetches with an open request`);
  }
  for (const pool of POOL_NAMES) {
    const channel = live.pools[pool];
    if (channel !== null) checkPermits(state, live, pool, channel, must);
  }
}

function checkPermits(
  state: State,
  { attemptId, blocked }: LivePeer,
  pool: PoolName,
  channel: PermitChannel,
  must: Must,
): void {
  const name = `${pool} of ${attemptId}`;
  const { ours, theirs } = channel;
  const peerId = state.attempts.get(attemptId)?.peerId;
  if (peerId == null) return;
  must(ours.tag !== "processing" || ours.unsettled.length > 0, `${name} processes something (law 2)`);
  must(ours.tag !== "idle" || state.stopping, `${name} holds a permit or is processed (law 2)`);
  for (const hash of unsettledOf(channel)) {
    must(
      state.fetches.get(hash)?.announcers.has(peerId) ?? false,
      `${name}: unsettled ${hash} is being fetched`,
    );
  }
  const waits = state.waiting[pool].has(peerId);
  const isHeld = blocked.includes(pool) || !isGateOpen(state, peerId);
  must(theirs.tag === "open" || !waits, `${name} waits with a permit`);
  must(theirs.tag !== "open" || waits || isHeld, `${name} waits with its permit`);
}

/** P24: who is banned is not connected, by whatever connection. */
function checkBans(state: State, must: Must): void {
  for (const [peerId, { live }] of state.peers.entries()) {
    if (live === null) continue;
    must(bannedUntil(state, peerId) === 0, `live ${peerId} is not banned (P24)`);
    const group = state.attempts.get(live.attemptId)?.selected?.group ?? "";
    must(closedUntil(state, group) === 0, `live ${peerId} is in no group that the operator has banned`);
  }
  for (const [group, { violations }] of state.groups.entries()) {
    const keys = new Set(violations.map(({ peerId }) => peerId));
    must(keys.size === violations.length, `group ${group} counts each key once`);
    must(keys.size < GROUP_OFFENDERS_MAX, `group ${group} is shut out after ${GROUP_OFFENDERS_MAX} keys`);
  }
}

function checkFetches(state: State, must: Must): void {
  const liveOf = (peerId: PeerId): LivePeer | undefined => state.peers.get(peerId)?.live ?? undefined;
  for (const pool of POOL_NAMES) {
    for (const peerId of state.waiting[pool].keys()) {
      must(liveOf(peerId) !== undefined, `waiting ${peerId} is live`);
    }
  }
  for (const [hash, { pool, announcers, stage }] of state.fetches.entries()) {
    const name = `fetch ${hash} (${stage.tag})`;
    must(announcers.size > 0, `${name} has an announcer`);
    for (const peerId of announcers.keys()) {
      const isUnsettled = unsettledOf(liveOf(peerId)?.pools[pool] ?? null).includes(hash);
      must(isUnsettled, `${name} is unsettled for its announcer`);
    }
    if (stage.tag === "requested") {
      must(stage.from.length > 0, `${name} is asked of somebody`);
      for (const peerId of stage.from) {
        const hashes = pool === "snark-job-commitment" ? [] : requestedHashes(state, peerId, pool);
        must(hashes.includes(hash), `${name} is asked for in an open request`);
      }
    }
    if (stage.tag === "verifying") {
      must(state.batches.get(stage.batchId)?.hashes.includes(hash) ?? false, `${name} is in its batch`);
    }
  }
}

/** P22: the log and the indexes of a pool never drift apart. Costs the size of the pool, once for each pool. */
function brokenPoolInvariants(pool: PoolLog<PoolInfo>): readonly string[] {
  const known = sound.get(pool);
  if (known !== undefined) return known;
  const broken: string[] = [];
  const must: Must = (holds, invariant) => {
    if (!holds) broken.push(invariant);
  };
  const { entries, byIndex, byPriority, bySlot } = pool;
  const sizes = [byIndex.size, byPriority.size, bySlot.size];
  must(
    sizes.every((size) => size === entries.size),
    "P22: every index of the pool has every entry once",
  );
  for (const [hash, entry] of entries.entries()) {
    must(entry.hash === hash && hashOf(entry.info) === hash, "P22: an entry is under its own hash");
    must(byIndex.get(entry.index) === hash, "P22: an entry is in the log under its index");
    must(byPriority.get(priorityKey(entry.priority)) === hash, "P22: an entry is under its priority");
    must(bySlot.get(entry.slot) === hash, "P22: an entry is in its slot");
    must(entry.index < pool.nextIndex, "P22: an index was given");
  }
  sound.set(pool, broken);
  return broken;
}

/** Most steps leave the pool as it was. */
const sound = new WeakMap<PoolLog<PoolInfo>, readonly string[]>();

function checkDeadlines(state: State, must: Must): void {
  const { byTime, byName } = state.deadlines;
  must(byTime.size === byName.size, "each deadline has one time and one name");
  for (const { name, atMs } of byTime.values()) {
    must(byName.get(name) === atMs, `deadline ${name} is listed at its time`);
    must(isAbout(state, name), `deadline ${name} is about something that exists`);
  }
  const due = (name: string, why: string): void => must(byName.has(name), `${why} has deadline ${name}`);
  for (const attempt of state.attempts.values()) {
    if (isUnfinished(attempt)) due(`attempt ${attempt.id}`, "an unfinished attempt");
    if (attempt.phase.tag === "probing") due(`probe ${attempt.id}`, "a probing attempt");
  }
  for (const { live } of state.peers.values()) {
    if (live === null) continue;
    const { attemptId, pools, rpc, blocked } = live;
    due(`ping ${attemptId}`, "a live peer");
    for (const pool of POOL_NAMES) {
      if (pools[pool]?.ours.tag === "processing") due(`settle ${pool} ${attemptId}`, "what is processed");
    }
    for (const { id, abandoned } of rpc?.ours ?? [])
      if (!abandoned) due(`rpc ${id} ${attemptId}`, "a request");
    if (rpc?.blockedSinceMs != null) due(`rpcBlocked ${attemptId}`, "a blocked channel");
    for (const channel of blocked) due(`stalled ${channel} ${attemptId}`, "a full buffer");
  }
  for (const key of state.admission.replays.keys()) due(`replay ${key}`, "a remembered offer");
  if (state.stopping) return;
  for (const [key, { address }] of state.targets.entries()) {
    const peer = state.peers.get(address.peerId);
    const dialing = peer?.dialing == null ? undefined : state.attempts.get(peer.dialing);
    const isDialed = dialing?.target != null && formatMultiaddr(dialing.target) === key;
    if (peer?.live == null && !isDialed) due(`dial ${key}`, "a target that is not connected");
  }
}

/** What a deadline is about still exists, in a state in which it can be due. */
function isAbout(state: State, name: string): boolean {
  const [kind = "", ...rest] = name.split(" ");
  const attempt = state.attempts.get(Number(rest.at(-1)) as AttemptId);
  const phase = attempt?.phase.tag;
  const live = attempt?.peerId == null ? null : (state.peers.get(attempt.peerId)?.live ?? null);
  switch (kind) {
    case "attempt":
      return attempt !== undefined && isUnfinished(attempt);
    case "probe":
      return attempt !== undefined && isUnfinished(attempt);
    case "candidates":
      return phase === "connecting";
    case "cut":
      return phase === "closing";
    case "ping":
      return phase === "ready";
    case "scan":
      return permitsNamed(live, rest[0])?.theirs.tag === "open";
    case "refloor":
      return permitsNamed(live, rest[0])?.ours.tag === "permitGiven";
    case "settle":
      return phase === "ready" && permitsNamed(live, rest[0])?.ours.tag === "processing";
    case "reconcile":
      return phase === "ready" && permitsNamed(live, rest[0]) !== null;
    case "tip":
      return live?.bestTip?.ours.tag === "processing";
    case "sync":
      return state.sync.pursuit !== null;
    case "syncRetry":
      return state.sync.givenUp.has(rest.join(" ") as Hash);
    case "slot":
      return state.work.isProducing && !state.stopping;
    case "work":
    case "prove":
      return state.config.workFee !== null && !state.stopping;
    case "commitments":
      return state.pools["snark-job-commitment"].entries.size > 0;
    case "resume":
      return state.resumes.has(rest.join(" ") as PeerId);
    case "hedge":
      return FETCHED_POOLS.some((pool) => pool === rest[0] && live?.fetching[pool] != null);
    case "rpc":
      return (
        phase === "ready" &&
        (live?.rpc?.ours.some(({ id, abandoned }) => id === Number(rest[0]) && !abandoned) ?? false)
      );
    case "rpcBlocked":
      return phase === "ready" && live?.rpc?.blockedSinceMs != null;
    case "stream":
      return isStreamDeadline(state, rest[0], live);
    case "stalled":
      return phase === "ready" && (live?.blocked.some((channel) => channel === rest[0]) ?? false);
    case "replay":
      return state.admission.replays.has(rest.join(" "));
    case "dial":
      return !state.stopping && state.targets.has(rest.join(" "));
    default:
      return isSignalingDeadline(state, kind, live) ?? isBookDeadline(state, kind, live) ?? false;
  }
}

const permitsNamed = (live: LivePeer | null, name: string | undefined): PermitChannel | null => {
  const pool = POOL_NAMES.find((known) => known === name);
  return pool === undefined ? null : (live?.pools[pool] ?? null);
};

function checkBounds(state: State, must: Must): void {
  const { admission, config, attempts, batches, fetches, offenders } = state;
  must(admission.buckets.size <= ADMISSION_BUCKETS_MAX, "the table of buckets is bounded");
  must(offenders.size <= OFFENDERS_MAX, "the table of offenders is bounded");
  must(state.groups.size <= GROUPS_MAX, "the table of address groups is bounded");
  must(state.acquainted.size <= ACQUAINTED_MAX, "the table of known keys is bounded");
  const halfOpen = [...attempts.values()].filter(
    (attempt) => attempt.direction === "incoming" && isUnfinished(attempt),
  );
  must(halfOpen.length <= config.admission.halfOpenMax, "half-open attempts are bounded (P06)");
  for (const [batchId, { hashes }] of batches.entries()) {
    must(batchId < (state.nextBatchId as BatchId) && hashes.length > 0, "a batch has items");
  }
  const peers = [...state.peers.values()].filter(({ live }) => live !== null).length;
  must(fetches.size <= 3 * INFOS_MAX * peers, "at most one message of candidates per peer and pool");
  const known: readonly Hash[] = [...fetches.keys()];
  must(
    known.every((hash, index) => index === 0 || hash > (known[index - 1] ?? "")),
    "fetches are in order",
  );
}
