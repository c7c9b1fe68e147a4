import type { RpcRequest } from "../../core/channels/rpc.ts";
import type { Hash, PeerId } from "../../core/ids.ts";
import { RPC_OPEN_MAX, SYNC_BUSY_MS, SYNC_HEDGE_MS, SYNC_REQUESTS_PER_PEER_MAX } from "../../core/limits.ts";
import type { LivePeer, State } from "../../core/state.ts";
import type { Pursuit } from "../../core/sync.ts";
import { canRequest } from "../channels/rpc.ts";
import type { Context, StateDraft } from "../rules.ts";
import { updateBlock, updatePursuit } from "./pursuit.ts";

/**
 * Who is asked for what the pursued tip lacks: its announcers before others whose tip is as high, the least occupied
 * first, nobody twice, and another one too where an answer is late. What is asked for is read off the open requests
 * of the peers, so that it is nowhere said twice.
 */

/** What is known while one look at the pursuit lasts: slots are used up by what it asks for. */
export interface Round {
  readonly servers: readonly Server[];
  readonly asked: ReadonlyMap<string, Asked>;
}

interface Server {
  readonly peerId: PeerId;
  readonly height: number;
  readonly isAnnouncer: boolean;
  /** Requests that it was sent so far. */
  readonly sent: number;
  /** Requests for sync that it may be sent now. */
  free: number;
}

interface Asked {
  readonly peers: PeerId[];
  /** The last one was asked a short time ago: nobody else is yet. */
  isRecent: boolean;
}

type SyncRequest = Extract<RpcRequest, { tag: "block" | "ancestry" | "transactions" | "snarks" }>;

export function beginRound(state: State, pursuit: Pursuit): Round {
  const servers: Server[] = [];
  const asked = new Map<string, Asked>();
  for (const [peerId, { live }] of state.peers.entries()) {
    if (live === null) continue;
    noteAsked(state, peerId, live, asked);
    const tip = live.bestTip?.received ?? null;
    const ours = requestsOf(live);
    // Who has not answered in time is not asked for anything more before it does.
    const isStuck = ours.some(({ abandoned }) => abandoned);
    if (tip === null || live.rpc === null || isStuck) continue;
    const rests = state.timeMs < (pursuit.busy.get(peerId) ?? 0) || !canRequest(state, peerId);
    const slots = Math.min(SYNC_REQUESTS_PER_PEER_MAX - ours.length, RPC_OPEN_MAX - live.rpc.ours.length);
    const isAnnouncer = tip.hash === pursuit.tip.hash;
    servers.push({ peerId, height: tip.height, isAnnouncer, sent: live.rpc.nextId, free: rests ? 0 : slots });
  }
  return { servers, asked };
}

/** Somebody is left who may have what a block of this height consists of. */
export const isAnybodyLeft = ({ servers }: Round, height: number, failed: readonly PeerId[]): boolean =>
  servers.some((server) => server.height >= height && !failed.includes(server.peerId));

export const isAnybodyFree = ({ servers }: Round): boolean => servers.some(({ free }) => free > 0);

export const isAskedRecently = ({ asked }: Round, tag: SyncRequest["tag"], hash: Hash): boolean =>
  asked.get(keyOf(tag, hash))?.isRecent ?? false;

/** Asks the best of those who did not fail and are not being asked already, if one has a slot. */
export function ask(
  { servers, asked }: Round,
  {
    body,
    height,
    failed,
  }: { readonly body: SyncRequest; readonly height: number; readonly failed: readonly PeerId[] },
  { propose }: Context,
): void {
  const busyWithIt = hashesOf(body).flatMap((hash) => asked.get(keyOf(body.tag, hash))?.peers ?? []);
  let best: Server | undefined;
  for (const server of servers) {
    if (server.free <= 0 || server.height < height) continue;
    if (failed.includes(server.peerId) || busyWithIt.includes(server.peerId)) continue;
    if (best === undefined || isPreferred(server, best)) best = server;
  }
  if (best === undefined) return;
  best.free -= 1;
  propose({ type: "rpc/request", peerId: best.peerId, purpose: "sync", body });
}

/** A peer that answered Busy is not asked for anything for a while; it did not fail. */
export function rest(draft: StateDraft, peerId: PeerId): void {
  const { pursuit } = draft.sync;
  if (pursuit === null) return;
  updatePursuit(draft, { busy: pursuit.busy.set(peerId, draft.timeMs + SYNC_BUSY_MS) });
}

/** On another connection it may be asked again. */
export function forgetServer(draft: StateDraft, peerId: PeerId): void {
  const { pursuit } = draft.sync;
  if (pursuit === null) return;
  const without = <T extends { readonly failed: readonly PeerId[] }>(wanted: T): T =>
    wanted.failed.includes(peerId)
      ? { ...wanted, failed: wanted.failed.filter((other) => other !== peerId) }
      : wanted;
  updatePursuit(draft, { busy: pursuit.busy.delete(peerId) });
  const { stage } = pursuit;
  if (stage.tag === "headers") updatePursuit(draft, { stage: without(stage) });
  if (stage.tag !== "blocks") return;
  for (const [height, block] of stage.blocks.entries())
    if (block.failed.includes(peerId)) updateBlock(draft, height, without);
}

function isPreferred(a: Server, b: Server): boolean {
  if (a.isAnnouncer !== b.isAnnouncer) return a.isAnnouncer;
  return a.free === b.free ? a.sent < b.sent : a.free > b.free;
}

/** Also what the pools are fetching: a body crosses each node once, whoever wants it. */
function noteAsked(state: State, peerId: PeerId, live: LivePeer, asked: Map<string, Asked>): void {
  for (const { body, sentMs, abandoned } of live.rpc?.ours ?? []) {
    if (abandoned) continue;
    for (const hash of hashesOf(body)) {
      const key = keyOf(body.tag, hash);
      const known = asked.get(key) ?? { peers: [], isRecent: false };
      known.peers.push(peerId);
      if (state.timeMs < sentMs + SYNC_HEDGE_MS) known.isRecent = true;
      asked.set(key, known);
    }
  }
}

const requestsOf = ({ rpc }: LivePeer) => rpc?.ours.filter(({ purpose }) => purpose === "sync") ?? [];

const keyOf = (tag: RpcRequest["tag"], hash: Hash): string => `${tag} ${hash}`;

function hashesOf(body: RpcRequest): readonly Hash[] {
  if (body.tag === "block" || body.tag === "ancestry") return [body.hash];
  return body.tag === "transactions" || body.tag === "snarks" ? body.hashes : [];
}
