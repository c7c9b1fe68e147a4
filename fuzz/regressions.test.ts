import { describe, expect, test } from "vitest";
import type { Input } from "../core/actions.ts";
import { type PoolMessage, transactionSchema } from "../core/channels/permits.ts";
import { type RpcMessage, rpcSchema } from "../core/channels/rpc.ts";
import { encode } from "../core/codec/codec.ts";
import type { Schema } from "../core/codec/schema.ts";
import type { AttemptId, Hash } from "../core/ids.ts";
import type { State } from "../core/state.ts";
import { brokenInvariants } from "../reducers/invariants.ts";
import { step } from "../reducers/step.ts";
import { createCluster } from "./simulator.ts";
import { createWatched } from "./watched.ts";

/** What the simulator has found before, each reduced to its shortest form. */

type Bytes = { readonly channel: "rpc" | "transaction"; readonly bytes: Uint8Array };

const rpc = (message: RpcMessage): Bytes => ({ channel: "rpc", bytes: encode(rpcSchema, message) });
const request = (id: number): Bytes => rpc({ tag: "request", id, body: { tag: "peers" } });
const transaction = (message: PoolMessage): Bytes => ({
  channel: "transaction",
  bytes: encode(transactionSchema as Schema<PoolMessage>, message),
});
const window = { seq: 0, floor: null, band: null };
const getNext = transaction({ tag: "getNext", limit: 1, window, resume: null });
const info = { hash: "ab".repeat(32) as Hash, fee: 1n, sender: "cd".repeat(32), nonce: 0 };
const infos = transaction({
  tag: "infos",
  cursor: { epoch: 1n, next: 1n },
  seq: 0,
  rest: null,
  items: [info],
});

/** A node that is connected with a peer, just before the peer's Hello, and that Hello. */
function beforeHello(): { readonly state: State; readonly hello: Input; readonly attemptId: AttemptId } {
  let found: { state: State; hello: Input; attemptId: AttemptId } | undefined;
  const cluster = createCluster({
    nodes: 2,
    seed: 1,
    observers: [
      {
        before: ({ index, state }, input) => {
          if (index !== 1 || input.type !== "event/message" || input.channel !== "control") return;
          found ??= { state, hello: input, attemptId: input.attemptId };
        },
      },
    ],
  });
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  if (found === undefined) throw new Error("the peer says Hello");
  return found;
}

describe("messages that overtook the Hello, two of which end the connection, never stop the node", () => {
  test.each([
    ["two requests out of turn", [request(7), request(7)]],
    ["a request out of turn, a permit", [request(7), getNext]],
    ["a request out of turn, one in turn", [request(7), request(0)]],
    ["an announcement, a request out of turn", [infos, request(7)]],
  ])("%s", (_name, early) => {
    const { state, hello, attemptId } = beforeHello();
    let before = state;
    for (const message of early) {
      before = step(before, { type: "event/message", attemptId, ...message }, before.timeMs).state;
    }
    const { state: after, actions } = step(before, hello, before.timeMs);
    expect(after.attempts.get(attemptId)?.phase.tag).toBe("closing");
    expect(actions.filter(({ type }) => type === "connection/disconnect")).toHaveLength(1);
  });
});

test("a tick so late that everything is due at once never stops the node", () => {
  const cluster = createCluster({ nodes: 2, seed: 1 });
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  const { state } = cluster.node(0);
  const attemptId = [...state.attempts.keys()][0] ?? (0 as AttemptId);
  for (const sinceMs of [1_000, 9_000]) {
    const blocked = { type: "event/channelBlocked", attemptId, channel: "rpc" } as const;
    const { state: stuck } = step(state, blocked, state.timeMs + sinceMs);
    const { state: after } = step(stuck, { type: "tick" }, stuck.timeMs + 20_000);
    expect(after.attempts.get(attemptId)?.phase.tag).toBe("closing");
  }
});

test("the second address of a peer is dialed although the first was just being tried", () => {
  const cluster = createCluster({ nodes: 2, seed: 1 });
  const address = { ...cluster.addressOf(1), host: "20.9.9.9" };
  cluster.node(0).command((requestId) => ({ type: "command/dial", requestId, address }));
  cluster.runFor(1);
  cluster.dial(0, 1);
  cluster.runFor(60_000);
  expect([...cluster.node(0).state.peers.values()].map(({ live }) => live?.direction)).toEqual(["outgoing"]);
});

test("a probe that was answered leaves no deadline", () => {
  const { cluster, checker } = createWatched({ nodes: 2, seed: 3 });
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  cluster.restart(0);
  cluster.runUntilQuiet();
  expect(brokenInvariants(cluster.node(1).state)).toEqual([]);
  expect(checker.histogram.get("admission/endProbe")).toBeGreaterThan(0);
});

describe("an item whose only announcer froze before it served the item", () => {
  test("is asked for again when the announcer is back: with the next window, or by a Refloor of the open one", () => {
    const bands: string[] = [];
    const { cluster } = createWatched({
      nodes: 2,
      seed: 3,
      observers: [
        {
          after: (_node, _input, { effects }) => {
            for (const effect of effects) {
              if (effect.type !== "effect/send" || effect.channel !== "transaction") continue;
              const { message } = effect;
              if (message.tag === "infos" && message.items.length > 0) frozen.push(cluster.clock.nowMs);
              if (message.tag !== "infos" && message.window.band !== null) bands.push(message.tag);
            }
          },
        },
      ],
    });
    const frozen: number[] = [];
    cluster.dial(0, 1);
    cluster.runUntilQuiet();
    for (const nonce of [1, 2]) {
      // The second is above the band that was asked for the first: that is held back for a while.
      cluster.submit(1, {
        fee: 5n ** BigInt(nonce),
        sender: "aa".repeat(32),
        nonce,
        verdict: "valid",
        salt: 0,
      });
      frozen.length = 0;
      while (frozen.length === 0) cluster.runFor(1);
      // The announcement is on its way; the request for the item finds nobody.
      cluster.node(1).freeze();
      cluster.runFor(7_000);
      cluster.node(1).thaw();
      cluster.runUntilQuiet();
      expect(cluster.node(0).state.pools.transaction.entries.size).toBe(nonce);
    }
    expect(new Set(bands)).toEqual(new Set(["getNext", "refloor"]));
    expect(Object.keys(cluster.node(0).state.endings)).toEqual([]);
  });
});
