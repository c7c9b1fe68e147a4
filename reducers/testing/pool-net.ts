import { assert } from "../../core/assert.ts";
import { type ChannelMessage, type ChannelName, encodeMessage } from "../../core/channels/table.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import type { Config } from "../../core/state.ts";
import { brokenInvariants } from "../invariants.ts";
import { nextDeadline } from "../step.ts";
import type { Item } from "./items.ts";
import { sayBytes } from "./messages.ts";
import { freshRequestId, type TestNode, testNode } from "./node.ts";
import { closeTransport, readyPeer } from "./peers.ts";
import { randomOf } from "./random.ts";

// Nodes that tell each other of what is in their pools, over channels that are not ordered against each other.

export interface Sent {
  readonly channel: ChannelName;
  readonly bytes: Uint8Array;
  readonly message: ChannelMessage["message"];
}

interface Member {
  readonly node: TestNode;
  /** Where what is sent on an attempt goes. */
  readonly links: Map<AttemptId, { readonly to: Member; readonly attemptId: AttemptId }>;
  /** What the chain of this node keeps. */
  readonly kept: Map<Hash, Uint8Array>;
  /** On its way, by attempt and channel. */
  readonly outbox: Map<string, { readonly attemptId: AttemptId; readonly sent: Sent[] }>;
  readonly effects: Effect[];
}

export interface PoolNet {
  readonly node: (name: string) => TestNode;
  readonly link: (a: string, b: string) => void;
  readonly unlink: (a: string, b: string) => void;
  readonly submit: (name: string, item: Item) => void;
  /** The chain of a node has these, as if it had verified them. */
  readonly keep: (name: string, items: readonly Item[]) => void;
  /** Everything that can happen at once happens, in some order. */
  readonly settle: () => void;
  /** Time passes until so much of it has, and everything that is due happens. */
  readonly pass: (ms: number) => void;
  /** Everything that was delivered. */
  readonly delivered: Sent[];
}

/** @param items all there will ever be: how the chains know what bytes mean */
export function createPoolNet(
  seed: number,
  names: readonly string[],
  items: readonly Item[],
  options: { readonly changes?: Partial<Config>; readonly prepare?: Parameters<typeof testNode>[3] } = {},
): PoolNet {
  const random = randomOf(seed);
  const known = new Map(items.map((item) => [item.hash, item]));
  const delivered: Sent[] = [];
  const members = new Map<string, Member>();
  for (const name of names) {
    const effects: Effect[] = [];
    const node = testNode(
      options.changes,
      name,
      (_input, result) => effects.push(...result.effects),
      options.prepare,
    );
    members.set(name, { node, links: new Map(), kept: new Map(), outbox: new Map(), effects });
  }
  const of = (name: string): Member => {
    const member = members.get(name);
    assert(member !== undefined, "a member of the net");
    return member;
  };

  /** Takes up what a node asked of the world. */
  function collect(member: Member): void {
    for (const effect of member.effects.splice(0)) {
      if (effect.type === "effect/send") {
        // Said and heard already when the link was made.
        if (effect.message.tag === "hello") continue;
        const { attemptId, channel } = effect;
        const key = `${attemptId} ${channel}`;
        const box = member.outbox.get(key) ?? { attemptId, sent: [] };
        box.sent.push({ channel, bytes: encodeMessage(effect), message: effect.message });
        member.outbox.set(key, box);
      } else answer(member, effect);
    }
  }

  function answer({ node, kept }: Member, effect: Effect): void {
    switch (effect.type) {
      case "effect/verifyItems": {
        const verdicts = effect.items.map(({ hash, bytes }) => {
          const item = known.get(hash);
          assert(item !== undefined, "an item of this test");
          kept.set(hash, bytes);
          return { tag: "valid", info: item.info } as const;
        });
        node.feed({ type: "event/itemsVerified", batchId: effect.batchId, verdicts });
        return;
      }
      case "effect/loadItems": {
        const { attemptId, rpcId, hashes } = effect;
        const found = hashes.map((hash) => kept.get(hash) ?? null);
        node.feed({ type: "event/itemsLoaded", attemptId, rpcId, items: found });
        return;
      }
      case "effect/forgetItems":
        for (const hash of effect.hashes) kept.delete(hash);
        return;
      case "effect/close":
        closeTransport(node, effect.attemptId);
    }
  }

  /** One message, or all that the services have to do. @returns false if there is nothing */
  function turn(): boolean {
    for (const member of members.values()) while (member.effects.length > 0) collect(member);
    const boxes = [...members.values()].flatMap((member) =>
      [...member.outbox.values()].filter(({ sent }) => sent.length > 0).map((box) => ({ member, box })),
    );
    const { member, box } = boxes[random(Math.max(1, boxes.length))] ?? {};
    const sent = box?.sent.shift();
    if (member === undefined || box === undefined || sent === undefined) return false;
    const link = member.links.get(box.attemptId);
    if (link === undefined) return true;
    delivered.push(sent);
    sayBytes(link.to.node, link.attemptId, sent.channel, sent.bytes);
    check(link.to);
    return true;
  }

  function check({ node, kept }: Member): void {
    const broken = brokenInvariants(node.state);
    assert(broken.length === 0, `no broken invariant: ${broken.join("; ")}`);
    for (const pool of ["transaction", "snark"] as const)
      for (const hash of node.state.pools[pool].entries.keys())
        assert(kept.has(hash), "the chain has not forgotten what a pool holds");
  }

  const net: PoolNet = {
    node: (name) => of(name).node,
    link: (a, b) => {
      // Each believes that the other has dialed: who is dialed again is not what this is about.
      const [one, other] = [of(a), of(b)];
      const there = readyPeer(one.node, b).attemptId;
      const here = readyPeer(other.node, a).attemptId;
      one.links.set(there, { to: other, attemptId: here });
      other.links.set(here, { to: one, attemptId: there });
    },
    unlink: (a, b) => {
      const [one, other] = [of(a), of(b)];
      for (const [attemptId, { to, attemptId: there }] of one.links) {
        if (to !== other) continue;
        one.links.delete(attemptId);
        other.links.delete(there);
        closeTransport(one.node, attemptId);
        closeTransport(other.node, there);
      }
    },
    submit: (name, { pool, bytes }) => {
      assert(pool !== "snark-job-commitment", "a commitment is made by a worker");
      of(name).node.feed({ type: "command/submit", requestId: freshRequestId(), pool, bytes });
    },
    keep: (name, all) => {
      for (const { hash, bytes } of all) of(name).kept.set(hash, bytes);
    },
    settle: () => {
      for (let turns = 0; turn(); turns++) assert(turns < 100_000, "the net comes to rest");
    },
    pass: (ms) => {
      for (let left = ms; left > 0; ) {
        net.settle();
        const dues = [...members.values()].map(({ node }) =>
          Math.max(1, (nextDeadline(node.state) ?? Number.POSITIVE_INFINITY) - node.nowMs),
        );
        const step = Math.min(left, ...dues);
        for (const { node } of members.values()) node.pass(step);
        left -= step;
      }
      net.settle();
      for (const member of members.values()) check(member);
    },
    delivered,
  };
  return net;
}

/** Bytes of the messages of these kinds. */
export const bytesOf = (sent: readonly Sent[], counts: (one: Sent) => boolean = () => true): number =>
  sent.filter(counts).reduce((sum, { bytes }) => sum + bytes.length, 0);
