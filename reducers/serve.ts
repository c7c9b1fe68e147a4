import type { ChainEvent } from "../core/actions.ts";
import type { Found, RpcRequest, RpcResponse } from "../core/channels/rpc.ts";
import type { AttemptId, PeerId } from "../core/ids.ts";
import { ITEM_BYTES_MAX, RPC_BYTES_MAX, RPC_RATES } from "../core/limits.ts";
import type { State } from "../core/state.ts";
import { answerPeers } from "./book/tell.ts";
import { refill } from "./buckets.ts";
import { answerInfos, answerReconcile, reconcileCost } from "./reconcile.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { attemptOf, liveAttempt, livePeer, updateChannel } from "./state.ts";

/** The answers to rpc requests (7.7): each request gets exactly one, and none costs more than its bucket allows. */

type Loaded = Extract<
  ChainEvent,
  { type: "event/itemsLoaded" | "event/blockLoaded" | "event/ancestryLoaded" }
>;

export const serving: Rules<Loaded> = {
  "event/itemsLoaded": {
    enabled: isAwaited,
    reduce: (draft, { attemptId, rpcId, items }, context) => {
      respond(draft, attemptId, rpcId, { tag: "items", found: packed(items) }, context);
    },
  },

  "event/blockLoaded": {
    enabled: isAwaited,
    reduce: (draft, { attemptId, rpcId, block }, context) => {
      const body = block === null ? NOT_FOUND : ({ tag: "block", ...block } as const);
      respond(draft, attemptId, rpcId, body, context);
    },
  },

  "event/ancestryLoaded": {
    enabled: isAwaited,
    reduce: (draft, { attemptId, rpcId, headers }, context) => {
      const body = headers.length === 0 ? NOT_FOUND : ({ tag: "ancestry", headers } as const);
      respond(draft, attemptId, rpcId, body, context);
    },
  },
};

/** Begins the answer to a request, or gives it. */
export function serve(
  draft: StateDraft,
  peerId: PeerId,
  attemptId: AttemptId,
  id: number,
  body: RpcRequest,
  { effect, propose }: Context,
): void {
  const answer = (response: RpcResponse): void =>
    propose({ type: "rpc/respond", peerId, attemptId, id, body: response });
  if (!pay(draft, peerId, body)) {
    answer(BUSY);
    return;
  }
  switch (body.tag) {
    case "bestTip":
      answer({ tag: "bestTip", header: draft.chain.tip });
      return;
    case "block":
      if (draft.chain.blocks.has(body.hash))
        effect({ type: "effect/loadBlock", attemptId, rpcId: id, hash: body.hash });
      else answer(NOT_FOUND);
      return;
    case "ancestry":
      if (!draft.chain.blocks.has(body.hash)) answer(NOT_FOUND);
      else effect({ type: "effect/loadAncestry", attemptId, rpcId: id, hash: body.hash, count: body.count });
      return;
    case "transactions":
    case "snarks":
      effect({ type: "effect/loadItems", attemptId, rpcId: id, hashes: body.hashes });
      return;
    case "reconcile":
      answer(answerReconcile(draft, body));
      return;
    case "infosByShortId":
      answer(answerInfos(draft, body));
      return;
    case "peers":
      answer(answerPeers(draft, peerId));
  }
}

const NOT_FOUND: RpcResponse = { tag: "notFound" };
const BUSY: RpcResponse = { tag: "busy" };

function isAwaited(state: State, { attemptId, rpcId }: Loaded): boolean {
  const peerId = state.attempts.get(attemptId)?.peerId ?? null;
  if (peerId === null) return false;
  const { rpc = null } = liveAttempt(state, peerId, attemptId) ?? {};
  return rpc?.theirs.some((request) => request.id === rpcId) ?? false;
}

function respond(
  draft: StateDraft,
  attemptId: AttemptId,
  id: number,
  body: RpcResponse,
  { propose }: Context,
): void {
  const { peerId } = attemptOf(draft, attemptId);
  if (peerId !== null) propose({ type: "rpc/respond", peerId, attemptId, id, body });
}

/** Takes what a request costs from the bucket of its kind; false if that is empty. */
function pay(draft: StateDraft, peerId: PeerId, body: RpcRequest): boolean {
  const rate = RPC_RATES[body.tag];
  const budget = refill(livePeer(draft, peerId)?.rpc?.budgets[body.tag], rate, draft.timeMs);
  if (budget.tokens <= 0) return false;
  const cost = body.tag === "reconcile" || body.tag === "infosByShortId" ? reconcileCost(draft, body) : 1;
  updateChannel(draft, peerId, "rpc", (channel) => {
    const spent = { tokens: budget.tokens - cost, atMs: budget.atMs };
    channel.budgets = { ...channel.budgets, [body.tag]: spent };
  });
  return true;
}

/** Tags, id and the count of a response; tag and length of each entry. */
const RESPONSE_HEAD_BYTES = 1 + 4 + 1 + 4;
const FOUND_HEAD_BYTES = 1 + 4;

/** As many entries as fit into one message, at least one: a shorter list means the rest did not fit. */
function packed(items: readonly (Uint8Array | null)[]): readonly Found[] {
  const found: Found[] = [];
  let left = RPC_BYTES_MAX - RESPONSE_HEAD_BYTES;
  for (const bytes of items) {
    const entry: Found =
      bytes === null
        ? { tag: "none" }
        : bytes.length > ITEM_BYTES_MAX
          ? { tag: "stream" }
          : { tag: "some", bytes };
    left -= FOUND_HEAD_BYTES + (entry.tag === "some" ? entry.bytes.length : 0);
    if (left < 0 && found.length > 0) break;
    found.push(entry);
  }
  return found;
}
