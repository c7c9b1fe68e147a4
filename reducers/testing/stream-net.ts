import { assert } from "../../core/assert.ts";
import { CHANNELS } from "../../core/channels/table.ts";
import { encode } from "../../core/codec/codec.ts";
import type { Schema } from "../../core/codec/schema.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import { brokenInvariants } from "../invariants.ts";
import { nextDeadline } from "../step.ts";
import { party, type TestNode, testNode } from "./node.ts";
import { closeTransport, readyPeer } from "./peers.ts";
import type { Random } from "./random.ts";
import { endings } from "./results.ts";
import { proposing, type Snapshot } from "./streams.ts";

// Nodes that stream to each other (7.8): every message passes the codec, and what happens next is chance.

/** How the service of a node behaves. Milliseconds are drawn up to these. */
export interface Behaviour {
  readonly serves: readonly Snapshot[];
  /** Chunks that it forges, and those for which it never answers. */
  readonly forges: (index: number) => boolean;
  readonly hangs: (index: number) => boolean;
  readonly serviceMs: number;
}

export const honest = (...serves: readonly Snapshot[]): Behaviour => ({
  serves,
  forges: () => false,
  hangs: () => false,
  serviceMs: 3,
});

export interface NetNode {
  readonly name: string;
  readonly node: TestNode;
  /** Live connections, by the name of the other side. */
  readonly links: ReadonlyMap<string, AttemptId>;
  /** What the service keeps of each root. */
  readonly kept: ReadonlyMap<Hash, ReadonlySet<number>>;
  /** How often each chunk was stored, ever. */
  readonly storedTimes: ReadonlyMap<number, number>;
  /** Streams that the service serves. */
  readonly serving: ReadonlySet<string>;
  /** `by reason` of each connection that ended. */
  readonly endings: readonly string[];
}

export interface StreamNet {
  readonly add: (name: string, behaviour: Behaviour) => NetNode;
  readonly link: (a: string, b: string) => void;
  readonly cut: (a: string, b: string) => void;
  readonly fetch: (name: string, root: Hash) => void;
  readonly abandon: (name: string, root: Hash) => void;
  readonly get: (name: string) => NetNode;
  /** One of the things that may happen now does; false if there is none. */
  readonly next: () => boolean;
  /** Time passes to the next thing that is due, `maxMs` at most. */
  readonly pass: (maxMs: number) => void;
  readonly nowMs: () => number;
}

interface Member extends NetNode {
  node: TestNode;
  readonly behaviour: Behaviour;
  readonly links: Map<string, AttemptId>;
  readonly kept: Map<Hash, Set<number>>;
  readonly storedTimes: Map<number, number>;
  readonly serving: Set<string>;
  readonly endings: string[];
}

interface Pending {
  readonly atMs: number;
  /** What has the same line happens in order. */
  readonly line: string;
  readonly run: () => void;
}

type Send = Extract<Effect, { type: "effect/send" }>;

const LINK_MS = 20;

export function createStreamNet(random: Random): StreamNet {
  const members = new Map<string, Member>();
  let pending: Pending[] = [];
  let nowMs = Number.NaN;
  let lines = 0;

  const get = (name: string): Member => {
    const member = members.get(name);
    assert(member !== undefined, "the node is in the net");
    return member;
  };
  const later = (upToMs: number, run: () => void, line = `free ${lines++}`): void => {
    const before = pending.filter((other) => other.line === line).at(-1)?.atMs ?? 0;
    pending.push({ atMs: Math.max(before, nowMs + random(upToMs + 1)), line, run });
  };

  const add: StreamNet["add"] = (name, behaviour) => {
    const member: Member = {
      name,
      behaviour,
      node: testNode({}, name, (input, { state, actions, effects }) => {
        const broken = brokenInvariants(state);
        assert(broken.length === 0, `${name} after ${input.type}: ${broken.join("; ")}`);
        member.endings.push(...endings(actions));
        for (const effect of effects) run(member, effect);
      }),
      links: new Map(),
      kept: new Map(),
      storedTimes: new Map(),
      serving: new Set(),
      endings: [],
    };
    nowMs = Number.isNaN(nowMs) ? member.node.nowMs : nowMs;
    member.node.freeze(nowMs - member.node.nowMs);
    members.set(name, member);
    return member;
  };

  const run = (member: Member, effect: Effect): void => {
    const { behaviour, kept, serving } = member;
    const feed: TestNode["feed"] = (input) => member.node.feed(input);
    switch (effect.type) {
      case "effect/send":
        send(member, effect);
        return;
      case "effect/close":
        later(0, () => disconnect(member, effect.attemptId));
        return;
      case "effect/openStream": {
        const { attemptId, streamId, root } = effect;
        const manifest = behaviour.serves.find((snapshot) => snapshot.root === root)?.manifest ?? null;
        if (manifest !== null) serving.add(`${attemptId} ${streamId}`);
        later(behaviour.serviceMs, () => feed({ type: "event/streamOpened", attemptId, streamId, manifest }));
        return;
      }
      case "effect/closeStream":
        serving.delete(`${effect.attemptId} ${effect.streamId}`);
        return;
      case "effect/loadChunk": {
        const { attemptId, streamId, index } = effect;
        assert(serving.has(`${attemptId} ${streamId}`), "chunks are loaded of open streams");
        if (behaviour.hangs(index)) return;
        const data = Uint8Array.of((index + (behaviour.forges(index) ? 1 : 0)) % 256);
        const chunk = { data, proof: [] };
        later(behaviour.serviceMs, () =>
          feed({ type: "event/chunkLoaded", attemptId, streamId, index, chunk }),
        );
        return;
      }
      case "effect/storeChunk": {
        const { attemptId, streamId, chunk } = effect;
        const { root, index, data } = chunk;
        const outcome = data[0] === index % 256 ? "stored" : "invalid";
        if (outcome === "stored") {
          kept.set(root, (kept.get(root) ?? new Set()).add(index));
          member.storedTimes.set(index, (member.storedTimes.get(index) ?? 0) + 1);
        }
        later(2, () => feed({ type: "event/chunkStored", attemptId, streamId, root, index, outcome }));
        return;
      }
      case "effect/discardStream":
        kept.delete(effect.root);
        return;
      default:
    }
  };

  /** Control and streams; what the other channels say does not matter here. Of Hellos each has had one already. */
  const send = (from: Member, { attemptId, channel, message }: Send): void => {
    if ((channel !== "control" && channel !== "streaming-rpc") || message.tag === "hello") return;
    const to = [...from.links].find(([, id]) => id === attemptId)?.[0];
    if (to === undefined) return;
    const arrivesOn = get(to).links.get(from.name);
    const bytes = encode(CHANNELS[channel].schema as Schema<unknown>, message);
    const arrive = (): void => {
      if (arrivesOn === undefined || get(to).links.get(from.name) !== arrivesOn) return;
      get(to).node.feed({ type: "event/message", attemptId: arrivesOn, channel, bytes });
    };
    later(LINK_MS, arrive, `${from.name} ${to} ${attemptId}`);
  };

  const disconnect = (from: Member, attemptId: AttemptId): void => {
    const to = [...from.links].find(([, id]) => id === attemptId)?.[0];
    closeTransport(from.node, attemptId);
    if (to === undefined) return;
    from.links.delete(to);
    const other = get(to);
    const theirs = other.links.get(from.name);
    if (theirs === undefined) return;
    // After everything that was sent before.
    later(LINK_MS, () => disconnect(other, theirs), `${from.name} ${to} ${attemptId}`);
  };

  return {
    add,
    get,
    nowMs: () => nowMs,
    link: (a, b) => {
      const [one, other] = [get(a), get(b)];
      const isLinked = one.links.has(b) || other.links.has(a);
      const isHalf = one.node.state.peers.has(party(b).peerId) || other.node.state.peers.has(party(a).peerId);
      const isBanned = [
        one.node.state.offenders.get(party(b).peerId),
        other.node.state.offenders.get(party(a).peerId),
      ];
      if (isLinked || isHalf || isBanned.some((offender) => offender !== undefined)) return;
      // What a node sends while it becomes ready must find the other's end.
      one.links.set(b, one.node.state.nextAttemptId as AttemptId);
      other.links.set(a, other.node.state.nextAttemptId as AttemptId);
      readyPeer(one.node, b);
      readyPeer(other.node, a);
    },
    cut: (a, b) => {
      const attemptId = get(a).links.get(b);
      if (attemptId !== undefined) disconnect(get(a), attemptId);
    },
    fetch: (name, root) => {
      const member = get(name);
      member.node = proposing(member.node, { type: "stream/fetch", root }).node;
    },
    abandon: (name, root) => {
      const member = get(name);
      member.node = proposing(member.node, { type: "stream/abandon", root }).node;
    },
    next: () => {
      const heads = new Map<string, Pending>();
      for (const entry of pending) if (!heads.has(entry.line)) heads.set(entry.line, entry);
      const ready = [...heads.values()].filter(({ atMs }) => atMs <= nowMs);
      const chosen = ready[random(Math.max(1, ready.length))];
      if (chosen === undefined) return false;
      pending = pending.filter((entry) => entry !== chosen);
      chosen.run();
      return true;
    },
    pass: (maxMs) => {
      const dueMs = Math.min(
        ...pending.map(({ atMs }) => atMs),
        ...[...members.values()].map(({ node }) => nextDeadline(node.state) ?? Number.POSITIVE_INFINITY),
      );
      nowMs += Math.max(0, Math.min(maxMs, dueMs - nowMs));
      for (const member of members.values()) member.node.pass(nowMs - member.node.nowMs);
    },
  };
}
