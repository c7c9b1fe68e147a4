import type { Command } from "../core/actions.ts";
import { itemHash } from "../core/hash.ts";
import { isPublicKey, peerPublicKey } from "../core/identity.ts";
import type { Hash } from "../core/ids.ts";
import { DIAL_TARGETS_MAX, ITEM_BYTES_MAX, LOCAL_MAX, SUBMISSIONS_MAX } from "../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import type { FetchedPool } from "../core/pools.ts";
import type { CommandResult } from "../core/services.ts";
import type { State } from "../core/state.ts";
import { abandon } from "./attempts.ts";
import type { Rules } from "./rules.ts";
import { forgetWake, livePeer } from "./state.ts";
import { setWorking, wakeForSlot } from "./work.ts";

/** What the operator asks for. Each request gets exactly one answer, here or when its outcome is known. */

export const commands: Rules<Exclude<Command, { type: "command/ban" | "command/unban" }>> = {
  "command/dial": {
    enabled: () => true,
    reduce: (draft, { requestId, address }, { effect, propose }) => {
      const refusal = dialRefusal(draft, address);
      if (refusal !== null) {
        effect({ type: "effect/answerCommand", requestId, result: refusal });
        return;
      }
      const key = formatMultiaddr(address);
      const { peerId } = address;
      draft.targets = draft.targets.set(key, { address, failures: 0, retries: 0, nextMs: draft.timeMs });
      propose({ type: "dial/start", address: key });
      effect({ type: "effect/answerCommand", requestId, result: { tag: "dialing", peerId } });
    },
  },

  "command/disconnect": {
    enabled: () => true,
    reduce: (draft, { requestId, peerId }, context) => {
      const targets = [...draft.targets.entries()].filter(([, { address }]) => address.peerId === peerId);
      const peer = draft.peers.get(peerId);
      for (const [key] of targets) {
        draft.targets = draft.targets.delete(key);
        forgetWake(draft, `dial ${key}`);
      }
      const attemptId = livePeer(draft, peerId)?.attemptId;
      const detail = "the operator ended the connection";
      if (attemptId !== undefined)
        context.propose({ type: "connection/disconnect", attemptId, reason: "operator", detail });
      for (const half of [peer?.dialing ?? null, peer?.answering ?? null]) {
        if (half !== null) abandon(half, "operator", detail, context);
      }
      const result: CommandResult =
        peer === undefined && targets.length === 0
          ? { tag: "notFound", detail: `no connection with ${peerId}` }
          : { tag: "disconnected", peerId };
      context.effect({ type: "effect/answerCommand", requestId, result });
    },
  },

  "command/submit": {
    enabled: () => true,
    reduce: (draft, { requestId, pool, bytes }, { effect, dispatch }) => {
      const hash = itemHash(bytes) as Hash;
      const refusal = submitRefusal(draft, pool, hash, bytes);
      if (refusal !== null) effect({ type: "effect/answerCommand", requestId, result: refusal });
      else dispatch({ type: "fetch/verify", peerId: null, pool, items: [{ hash, bytes }], requestId });
    },
  },

  "command/produce": {
    enabled: () => true,
    reduce: (draft, { requestId, isOn }, { effect }) => {
      draft.work = { ...draft.work, isProducing: isOn };
      if (isOn && !draft.stopping) wakeForSlot(draft);
      else forgetWake(draft, "slot");
      effect({ type: "effect/answerCommand", requestId, result: { tag: "producing", isOn } });
    },
  },

  "command/work": {
    enabled: () => true,
    reduce: (draft, { requestId, isOn }, context) => {
      setWorking(draft, isOn, context);
      context.effect({
        type: "effect/answerCommand",
        requestId,
        result: { tag: "working", isOn: draft.work.isWorking },
      });
    },
  },

  "command/stop": {
    enabled: (state) => !state.stopping,
    reduce: (draft, _command, context) => {
      draft.stopping = true;
      context.propose({ type: "stream/stop" });
      for (const id of draft.attempts.keys()) abandon(id, "shutdown", "the node is stopping", context);
      for (const key of draft.targets.keys()) forgetWake(draft, `dial ${key}`);
      for (const wake of ["slot", "work", "prove", "exchange", "book"]) forgetWake(draft, wake);
    },
  },
};

function dialRefusal(state: State, address: DialAddress): CommandResult | null {
  if (state.stopping) return { tag: "unavailable", detail: "the node is stopping" };
  if (address.peerId === state.config.peerId)
    return { tag: "invalid", detail: "that is the address of this node itself" };
  if (!isPublicKey(peerPublicKey(address.peerId))) {
    return { tag: "invalid", detail: `${address.peerId} is not a valid ed25519 key` };
  }
  if (state.targets.size >= DIAL_TARGETS_MAX) {
    return { tag: "unavailable", detail: `${DIAL_TARGETS_MAX} addresses are already kept connected` };
  }
  return null;
}

function submitRefusal(state: State, pool: FetchedPool, hash: Hash, bytes: Uint8Array): CommandResult | null {
  if (state.stopping) return { tag: "unavailable", detail: "the node is stopping" };
  if (bytes.length > ITEM_BYTES_MAX) {
    return {
      tag: "invalid",
      detail: `it has ${bytes.length} bytes, more than ${ITEM_BYTES_MAX}`,
    };
  }
  if (state.pools[pool].entries.has(hash) || state.local.has(hash))
    return { tag: "conflict", detail: "it is already in the pool" };
  if (state.local.size >= LOCAL_MAX)
    return { tag: "unavailable", detail: `${LOCAL_MAX} submissions are already waiting for a block` };
  if (state.batches.size >= SUBMISSIONS_MAX) {
    return { tag: "unavailable", detail: `${SUBMISSIONS_MAX} batches are already waiting for verification` };
  }
  return null;
}
