import type { Action } from "../core/actions.ts";
import { unsettledOf } from "../core/channels/transaction.ts";
import type { AttemptId, Hash, PeerId } from "../core/ids.ts";
import { RPC_OPEN_MAX } from "../core/limits.ts";
import { formatMultiaddr } from "../core/multiaddr.ts";
import { fromJson, toJson } from "../core/plain.ts";
import { severity } from "../core/reasons.ts";
import type { Attempt, LivePeer, State } from "../core/state.ts";
import { stateHash } from "../core/state-hash.ts";

/**
 * What is true of the state of a node between any two inputs, whatever its peers do. Each function returns what is
 * wrong, in words; nothing if all is well. What they rely on to find a fault is proven in invariants.test.ts.
 */
export type Problems = readonly string[];

/** All that is cheap enough for every step. */
export const checkState = (state: State): Problems => [
  ...checkSlots(state),
  ...checkAttempts(state),
  ...checkDeadlines(state),
  ...checkFetches(state),
  ...checkPermits(state),
];

/** P34: never more keys than slots, nor more half-open connections than allowed; a slot is held by somebody. */
export function checkSlots({ peers, attempts, config }: State): Problems {
  const problems: string[] = [];
  if (peers.size > config.peersMax) problems.push(`${peers.size} peers, more than ${config.peersMax}`);
  let halfOpen = 0;
  for (const { direction, phase } of attempts.values()) {
    if (direction === "incoming" && phase.tag !== "ready" && phase.tag !== "closing") halfOpen += 1;
  }
  if (halfOpen > config.admission.halfOpenMax) problems.push(`${halfOpen} half-open connections`);
  for (const [peerId, { dialing, answering, live }] of peers.entries()) {
    const name = short(peerId);
    if (dialing === null && answering === null && live === null) problems.push(`slot of ${name} is empty`);
    if (live !== null && attempts.get(live.attemptId)?.phase.tag !== "ready") {
      problems.push(`${name} is live without a ready attempt`);
    }
    for (const half of [dialing, answering]) {
      if (half === null) continue;
      const attempt = attempts.get(half);
      if (attempt === undefined || !isUnfinished(attempt) || attempt.peerId !== peerId) {
        problems.push(`slot of ${name} is held by attempt ${half}, which is ${attempt?.phase.tag ?? "gone"}`);
      }
    }
    const probing = live?.probe ?? null;
    if (probing !== null && attempts.get(probing.attemptId)?.phase.tag !== "probing") {
      problems.push(`${name} is probed for attempt ${probing.attemptId}, which does not wait for it`);
    }
  }
  return problems;
}

/** Every attempt has its one deadline until it is ready, and its slot once its key is known (P28). */
export function checkAttempts({ attempts, peers, deadlines }: State): Problems {
  const problems: string[] = [];
  for (const [id, attempt] of attempts.entries()) {
    const { phase, peerId } = attempt;
    const due = deadlines.byName.has(`attempt ${id}`);
    if (due !== isUnfinished(attempt)) problems.push(`${phase.tag} attempt ${id} has its deadline: ${due}`);
    if (phase.tag === "closing" && !attempt.hasTransport) {
      problems.push(`closing attempt ${id} waits for no event`);
    }
    if (peerId === null || phase.tag === "closing") continue;
    const peer = peers.get(peerId);
    const holder = phase.tag === "ready" ? peer?.live?.attemptId : (peer?.dialing ?? peer?.answering);
    const holds = holder === id || peer?.answering === id || phase.tag === "sealingRejection";
    if (!holds) problems.push(`${phase.tag} attempt ${id} holds no slot`);
  }
  return problems;
}

/** No deadline outlives what it is for, and nothing that must end is without one. */
export function checkDeadlines(state: State): Problems {
  const { deadlines, attempts, targets, admission, peers } = state;
  const problems: string[] = [];
  if (deadlines.byName.size !== deadlines.byTime.size) problems.push("deadlines differ by name and by time");
  for (const name of deadlines.byName.keys()) {
    if (!refersToSomething(state, name)) problems.push(`deadline "${name}" is for nothing`);
  }
  for (const { live } of peers.values()) {
    if (live === null) continue;
    const { attemptId } = live;
    if (!deadlines.byName.has(`ping ${attemptId}`)) problems.push(`no keepalive for attempt ${attemptId}`);
    if (unsettledOf(live.transaction).length > 0 && !deadlines.byName.has(`settle ${attemptId}`)) {
      problems.push(`attempt ${attemptId} may settle never`);
    }
    for (const { id, abandoned } of live.rpc?.ours ?? []) {
      if (!abandoned && !deadlines.byName.has(`rpc ${id} ${attemptId}`)) {
        problems.push(`request ${id} of attempt ${attemptId} has no deadline`);
      }
    }
  }
  for (const key of admission.replays.keys()) {
    if (!deadlines.byName.has(`replay ${key}`)) problems.push(`offer ${key} is remembered for ever`);
  }
  for (const [key, { address }] of targets.entries()) {
    const peer = peers.get(address.peerId);
    const dialed = peer?.dialing == null ? null : attempts.get(peer.dialing)?.target;
    const isDialed = dialed != null && formatMultiaddr(dialed) === key;
    const isSafe = state.stopping || (peer?.live ?? null) !== null || isDialed;
    if (!isSafe && !deadlines.byName.has(`dial ${key}`)) problems.push(`${key} is never dialed again`);
  }
  return problems;
}

function refersToSomething({ attempts, peers, targets, admission }: State, name: string): boolean {
  const [kind, rest] = split(name);
  if (kind === "dial") return targets.has(rest);
  if (kind === "replay") return admission.replays.has(rest);
  const words = rest.split(" ");
  const attempt = attempts.get(Number(words.at(-1)) as AttemptId);
  if (attempt === undefined) return false;
  const { phase, peerId } = attempt;
  const live = peerId === null ? null : (peers.get(peerId)?.live ?? null);
  const isLive = live?.attemptId === attempt.id;
  switch (kind) {
    case "attempt":
      return isUnfinished(attempt);
    case "probe":
      return phase.tag === "probing";
    case "candidates":
      return phase.tag === "connecting";
    case "cut":
      return phase.tag === "closing";
    case "ping":
      return isLive;
    case "band":
      return isLive && live?.transaction?.ours.tag === "permitGiven" && live.transaction.high !== null;
    case "settle":
      return isLive && live.transaction?.ours.tag === "processing";
    case "rpc":
      return isLive && (live.rpc?.ours.some(({ id }) => String(id) === words[0]) ?? false);
    case "rpcBlocked":
      return isLive && (live.rpc?.blockedSinceMs ?? null) !== null;
    case "stalled":
      return isLive && live.blocked.some((channel) => channel === words[0]);
    default:
      return false;
  }
}

/** What is fetched is wanted by somebody, is asked for or can be, and ends. */
export function checkFetches({ fetches, peers, batches }: State): Problems {
  const problems: string[] = [];
  for (const [hash, { announcers, stage }] of fetches.entries()) {
    const name = short(hash);
    if (announcers.size === 0) problems.push(`nobody announced ${name}`);
    for (const peerId of announcers.keys()) {
      if (!unsettledOf(liveOf(peers.get(peerId))?.transaction ?? null).includes(hash)) {
        problems.push(`${name} is fetched for ${short(peerId)}, who waits for nothing`);
      }
    }
    if (stage.tag === "verifying" && !batches.get(stage.batchId)?.hashes.includes(hash)) {
      problems.push(`${name} is verified in no batch`);
    }
    if (stage.tag === "requested" && !isRequested(liveOf(peers.get(stage.peerId)), hash)) {
      problems.push(`${name} is requested from ${short(stage.peerId)} by no request`);
    }
    if (stage.tag === "waiting" && ![...announcers.keys()].some((id) => isBusy(liveOf(peers.get(id))))) {
      problems.push(`${name} waits and every announcer is idle`);
    }
  }
  return problems;
}

/** Law 2 from within: whatever a permit waits for is on its way, and whoever waits for infos is woken. */
export function checkPermits({ peers, fetches, waiting }: State): Problems {
  const problems: string[] = [];
  for (const peerId of waiting.keys()) {
    if (liveOf(peers.get(peerId))?.transaction?.theirs.tag !== "open") {
      problems.push(`${short(peerId)} waits for infos without a permit`);
    }
  }
  for (const [peerId, peer] of peers.entries()) {
    const live = liveOf(peer);
    if (live?.transaction?.theirs.tag === "open" && !waiting.has(peerId)) {
      problems.push(`the permit of ${short(peerId)} is forgotten`);
    }
    if (live?.transaction?.ours.tag === "idle") problems.push(`${short(peerId)} is given no permit`);
    for (const hash of unsettledOf(live?.transaction ?? null)) {
      if (!fetches.get(hash)?.announcers.has(peerId)) {
        problems.push(`${short(peerId)} waits for ${short(hash)}, which is not fetched`);
      }
    }
    for (const open of [live?.rpc?.ours ?? [], live?.rpc?.theirs ?? []]) {
      if (open.length > RPC_OPEN_MAX) problems.push(`${open.length} requests are open with ${short(peerId)}`);
    }
  }
  return problems;
}

/** P22: log and pool are one. Costs the pool's size, so it is checked when the pool has changed. */
export function checkPool({ transactions }: State): Problems {
  const { entries, byIndex, byPriority, bySlot, nextIndex } = transactions;
  const problems: string[] = [];
  const sizes = [byIndex.size, byPriority.size, bySlot.size];
  if (sizes.some((size) => size !== entries.size)) problems.push(`${entries.size} entries, indexes ${sizes}`);
  for (const [hash, { index, slot }] of entries.entries()) {
    if (byIndex.get(index) !== hash || bySlot.get(slot) !== hash || index >= nextIndex) {
      problems.push(`${short(hash)} is not where its indexes say`);
    }
  }
  for (const hash of byPriority.values()) {
    if (!entries.has(hash)) problems.push(`${short(hash)} has a priority and is not in the pool`);
  }
  return problems;
}

/** The state is plain data and survives its own recording. Costs the whole state: checked now and then. */
export function checkPlain(state: State): Problems {
  const again = fromJson(toJson(state)) as State;
  return stateHash(again) === stateHash(state) ? [] : ["the state is another after toJson and fromJson"];
}

/** Honest nodes never accuse each other of what only a liar does (section 1). */
export function checkNoAccusation(actions: readonly Action[]): Problems {
  const problems: string[] = [];
  for (const action of actions) {
    const isEnd = action.type === "connection/disconnect" || action.type === "connection/ended";
    if (isEnd && severity(action.reason) === "violation") {
      problems.push(`${action.type} for ${action.reason}: ${action.detail}`);
    }
  }
  return problems;
}

/** What is left of a node that has no connection, is dialing nobody and was given time to forget. */
export function checkBaseline(state: State): Problems {
  const left = {
    attempts: state.attempts.size,
    peers: state.peers.size,
    waiting: state.waiting.size,
    fetches: state.fetches.size,
    batches: state.batches.size,
    replays: state.admission.replays.size,
    deadlines: state.deadlines.byName.size,
  };
  return Object.entries(left).flatMap(([name, count]) => (count === 0 ? [] : [`${count} ${name} are left`]));
}

const isUnfinished = ({ phase }: Attempt): boolean => phase.tag !== "ready" && phase.tag !== "closing";

const liveOf = (peer: { readonly live: LivePeer | null } | undefined): LivePeer | null => peer?.live ?? null;

const isRequested = (live: LivePeer | null, hash: Hash): boolean =>
  live?.rpc?.ours.some(({ hashes, abandoned }) => !abandoned && hashes.includes(hash)) ?? false;

/** It is being asked for something, or cannot be asked: it is asked again when that is over. */
const isBusy = (live: LivePeer | null): boolean =>
  live !== null && (live.fetching !== null || (live.rpc?.ours.length ?? RPC_OPEN_MAX) >= RPC_OPEN_MAX);

const short = (id: Hash | PeerId): string => id.slice(-8);

function split(name: string): readonly [string, string] {
  const at = name.indexOf(" ");
  return [name.slice(0, at), name.slice(at + 1)];
}
