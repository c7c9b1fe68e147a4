import { isAbove } from "../../core/floors.ts";
import type { AttemptId, Hash, PeerId } from "../../core/ids.ts";
import { RPC_OPEN_MAX } from "../../core/limits.ts";
import { POOL_NAMES, type PoolName } from "../../core/pools.ts";
import type { Fetch, LivePeer, State } from "../../core/state.ts";
import { isPreferred } from "../chain-selection.ts";
import type { Conversation } from "../conversation.ts";
import type { WireEvent } from "../wire.ts";

/** A peer at the other end of one connection. */
export interface Guest {
  readonly attemptId: AttemptId;
  readonly peerId: PeerId;
  readonly talk: Conversation;
  /** Its requests whose answer is being loaded. */
  readonly loads: Set<number>;
  /** The chunk that is being loaded for it: stream and index. */
  chunk: string | null;
}

export type ServiceName =
  | `answer of ${string}`
  | `${"infos" | "permit" | "request" | "verification"} ${PoolName}`
  | "chunk"
  | "chunk permit"
  | "tip"
  | "tip permit";

/** Of which service a message that was sent is one. */
export function serviceOf({ wire }: WireEvent, { talk, peerId }: Guest, state: State): ServiceName | null {
  const { tag } = wire.message;
  switch (wire.channel) {
    case "control":
    // Permits of relays and listeners are given by time and by lot (7.1, 7.2).
    case "signaling/discovery":
    case "signaling/exchange":
      return null;
    case "best-tip":
      return tag === "getNext" ? "tip permit" : "tip";
    case "streaming-rpc":
      return tag === "chunk" ? "chunk" : tag === "next" ? "chunk permit" : null;
    case "rpc": {
      const { body } = wire.message;
      if (wire.message.tag === "response")
        return `answer of ${talk.ledger.requests.theirs.open[wire.message.id]?.kind ?? body.tag}`;
      if (!("hashes" in body) || !isAskedOf(state.fetches.get(body.hashes[0] as Hash), peerId)) return null;
      return body.tag === "snarks" ? "request snark" : "request transaction";
    }
    default:
      if (tag === "refloor") return null;
      return `${tag === "infos" ? "infos" : "permit"} ${wire.channel}`;
  }
}

type Waits = (guest: Guest, state: State, live: LivePeer) => boolean;

/** It could be given the service as things are now. */
export function waits(service: ServiceName, guest: Guest, state: State): boolean {
  const live = state.peers.get(guest.peerId)?.live ?? null;
  if (state.stopping || live?.attemptId !== guest.attemptId || guest.talk.ledger.goodbye) return false;
  const waiting = WAITS[service] ?? waitsForAnswer(service);
  return waiting(guest, state, live);
}

const waitsForAnswer =
  (service: ServiceName): Waits =>
  ({ talk, loads }, _state, { blocked }) =>
    !blocked.includes("rpc") &&
    Object.entries(talk.ledger.requests.theirs.open).some(
      ([id, { kind }]) => service === `answer of ${kind}` && !loads.has(Number(id)),
    );

const waitsForInfos =
  (pool: PoolName): Waits =>
  ({ talk }, state, live) => {
    const { limit, lastSeq, windows } = talk.ledger.permits[pool].theirs;
    const cursor = live.pools[pool]?.cursor ?? Number.POSITIVE_INFINITY;
    const [index = -1, hash] = state.pools[pool].byIndex.last() ?? [];
    if (limit === null || index < cursor || hash === undefined || live.blocked.includes(pool)) return false;
    const priority = state.pools[pool].entries.get(hash)?.priority ?? null;
    const hasBudget = (live.pools[pool]?.scanBudget?.tokens ?? 1) > 0;
    return hasBudget && isAbove(priority, windows[lastSeq]?.floor ?? null) && isLevel(talk, state, live);
  };

/** The gate of 7.4. */
function isLevel({ heard }: Conversation, { chain, config }: State, { bestTip }: LivePeer): boolean {
  if (bestTip === null || heard?.hash === chain.tip.hash) return true;
  return heard !== null && isPreferred(heard, chain.tip, config.chain);
}

const waitsForPermit =
  (pool: PoolName): Waits =>
  ({ talk }, { fetches }, { pools, blocked }) => {
    const ours = pools[pool]?.ours;
    if (ours === undefined || talk.ledger.permits[pool].ours.limit !== null || blocked.includes(pool))
      return false;
    if (ours.tag === "processing") return !ours.unsettled.some((hash) => fetches.has(hash));
    return ours.tag !== "reconciling";
  };

/** What others have announced too may be left to one of them who serves better (7.4, Fetch). */
const waitsForRequest =
  (pool: PoolName): Waits =>
  ({ talk, peerId }, state, live) => {
    const isFull = Object.keys(talk.ledger.requests.ours.open).length >= RPC_OPEN_MAX;
    if (isFull || isAsked(talk) || live.blocked.includes("rpc")) return false;
    return unsettledIn(live, pool, state).some(
      ({ stage, announcers }) => stage.tag === "waiting" && announcers.size === 1 && announcers.has(peerId),
    );
  };

/** It has answered, or told everything: still it is neither looked at nor asked again. */
const waitsForVerification =
  (pool: PoolName): Waits =>
  ({ talk, peerId }, state, live) => {
    if (pool !== "snark-job-commitment" && isAsked(talk)) return false;
    return unsettledIn(live, pool, state).some((fetching) =>
      pool === "snark-job-commitment" ? fetching.stage.tag === "waiting" : isAskedOf(fetching, peerId),
    );
  };

const isAsked = ({ ledger }: Conversation): boolean =>
  Object.values(ledger.requests.ours.open).some(({ kind }) => kind === "items");

const isAskedOf = (fetching: Fetch | undefined, peerId: PeerId): boolean =>
  fetching?.stage.tag === "requested" && fetching.stage.from.includes(peerId);

function unsettledIn({ pools }: LivePeer, pool: PoolName, { fetches }: State): readonly Fetch[] {
  const ours = pools[pool]?.ours;
  return ours?.tag === "processing" ? ours.unsettled.flatMap((hash) => fetches.get(hash) ?? []) : [];
}

const waitsForChunk: Waits = ({ talk, chunk }, _state, { blocked }) =>
  (talk.ledger.streams.theirs.outstanding ?? 0) > 0 && chunk === null && !blocked.includes("streaming-rpc");

const waitsForChunkPermit: Waits = ({ talk, attemptId, peerId }, { download }) => {
  const source = download?.sources.get(peerId);
  if (download?.isActive !== true || source?.attemptId !== attemptId || !source.isServing) return false;
  const isIdle = talk.ledger.streams.ours.outstanding === 0 && source.storing === 0;
  return isIdle && download.missing.size > 0;
};

const waitsForTip: Waits = ({ talk }, { chain, config }, { blocked }) =>
  talk.ledger.tips.theirs &&
  !blocked.includes("best-tip") &&
  (talk.told === null || isPreferred(chain.tip, talk.told, config.chain));

/** A better tip is on its way to being ours, and holds its permit (7.3). */
const waitsForTipPermit: Waits = ({ talk }, { chain, config }, { blocked }) =>
  !talk.ledger.tips.ours &&
  !blocked.includes("best-tip") &&
  talk.heard !== null &&
  !isPreferred(talk.heard, chain.tip, config.chain);

const WAITS: Readonly<Record<string, Waits>> = {
  chunk: waitsForChunk,
  "chunk permit": waitsForChunkPermit,
  tip: waitsForTip,
  "tip permit": waitsForTipPermit,
  ...Object.fromEntries(
    POOL_NAMES.flatMap((pool) => [
      [`infos ${pool}`, waitsForInfos(pool)],
      [`permit ${pool}`, waitsForPermit(pool)],
      [`request ${pool}`, waitsForRequest(pool)],
      [`verification ${pool}`, waitsForVerification(pool)],
    ]),
  ),
};
