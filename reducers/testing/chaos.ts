import type { Action, Input } from "../../core/actions.ts";
import { addressGroup } from "../../core/address.ts";
import type { BanSubject } from "../../core/bans.ts";
import { CHANNEL_NAMES, encodeMessage } from "../../core/channels/table.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId, BatchId, CheckId, RequestId } from "../../core/ids.ts";
import { FETCHED_POOLS } from "../../core/pools.ts";
import type { Attempt, Config } from "../../core/state.ts";
import { nextDeadline } from "../step.ts";
import { peersOf } from "./chaos-peers.ts";
import { servicesOf } from "./chaos-services.ts";
import { BLOCKS, diceOf, IPS, ITEMS, MANY, NAMES, SNAPSHOTS } from "./chaos-things.ts";
import { holding, valid } from "./items.ts";
import { freshRequestId, type Party, party, type TestNode, testNode } from "./node.ts";
import { openTransport, ownAddress, sayHello } from "./peers.ts";
import type { Result } from "./results.ts";
import { addressOf, dialTo, FINGERPRINT, multiaddrOf, offerFrom, sdpText } from "./signals.ts";

// Any input, in any order, at any time: half of it what services and peers would say, the rest what they would not.

export interface Chaos {
  readonly node: TestNode;
  readonly inputs: () => number;
  /** One more input. */
  readonly next: () => Result;
  /** Everything that was asked of services and not answered yet is answered. */
  readonly settle: () => void;
  /** Answers that each signaling request got. */
  readonly replies: ReadonlyMap<RequestId, number>;
  /** Answers that each command with a request id got. */
  readonly answers: ReadonlyMap<RequestId, number>;
}

/** @param look sees every input before it is applied, and what came of it */
export function chaos(
  seed: number,
  changes: Partial<Config> = {},
  look: (input: Input, result: Result) => void = () => {},
): Chaos {
  const dice = diceOf(seed);
  const { random, pick, chance, bytes } = dice;
  const replies = new Map<RequestId, number>();
  const answers = new Map<RequestId, number>();
  let pending: Effect[] = [];
  let inputs = 0;

  const name = pick(["us", "we", "I"]);
  const config: Partial<Config> = {
    peersMax: 5,
    peersMin: pick([0, 5, 5]),
    capacity: pick([5, 20, 3_000]),
    produces: chance(50),
    workFee: pick([null, 2n]),
    ...changes,
  };
  // Beyond 200 entries two pools are reconciled before they are told of one by one.
  const held = chance(35) ? MANY : [];
  const watch = (input: Input, result: Result): void => {
    if (input.type === "event/signalReceived")
      replies.set(input.requestId, replies.get(input.requestId) ?? 0);
    if ("requestId" in input && input.type.startsWith("command/")) {
      answers.set(input.requestId, answers.get(input.requestId) ?? 0);
    }
    inputs += 1;
    for (const effect of result.effects) {
      if (effect.type === "effect/replySignal") count(replies, effect.requestId);
      else if (effect.type === "effect/answerCommand") count(answers, effect.requestId);
      else if (effect.type === "effect/send") encodeMessage(effect);
      else pending.push(effect);
    }
    look(input, result);
  };
  const node = testNode(config, name, watch, (state) => holding(state, held));
  const { feed } = node;
  const serve = servicesOf(node, dice);
  const saidBy = peersOf(node, dice);

  const attempts = (): readonly Attempt[] => [...node.state.attempts.values()];
  const anyAttemptId = (): AttemptId => {
    const known = attempts();
    return known.length === 0 || chance(5) ? (random(40) as AttemptId) : pick(known).id;
  };

  /** A key that may come in gets as far as it can without accidents. */
  function bringUp(): Result | undefined {
    const who = party(pick(NAMES));
    const { peers, offenders, stopping } = node.state;
    const known = peers.get(who.peerId);
    const halfOpen = attempts().filter(({ direction }) => direction === "incoming").length;
    if (stopping || offenders.has(who.peerId) || halfOpen > 40) return undefined;
    if (known === undefined && peers.size > 3) return undefined;
    const dials = chance(30) && known === undefined;
    const { attemptId } = dials
      ? dialTo(node, who)
      : offerFrom(node, who, { changes: { listen: multiaddrOf(who) } });
    if (node.state.attempts.get(attemptId)?.phase.tag !== "connecting") return undefined;
    pending = pending.filter((effect) => !("attemptId" in effect) || effect.attemptId !== attemptId);
    openTransport(node, attemptId);
    return sayHello(node, attemptId);
  }

  function message(): Input {
    const open = attempts().filter(({ phase }) => phase.tag === "ready" || phase.tag === "connecting");
    if (open.length === 0) return { type: "tick" };
    const attempt = pick(open);
    const { id: attemptId } = attempt;
    const said = saidBy(attempt);
    const { channel } = said;
    const encoded = encodeMessage(said);
    if (random(200) > 0) return { type: "event/message", attemptId, channel, bytes: encoded };
    const broken = pick([bytes(random(40)), encoded.subarray(1), bytes(66_000), new Uint8Array()]);
    return pick<Input>([
      { type: "event/message", attemptId, channel: pick(CHANNEL_NAMES), bytes: broken },
      { type: "event/textReceived", attemptId, channel },
      { type: "event/inboxFull", attemptId },
    ]);
  }

  function transport(): Input {
    const attemptId = anyAttemptId();
    const channel = pick(CHANNEL_NAMES);
    const full = attempts().flatMap(({ id, peerId }) => {
      const live = peerId === null ? null : (node.state.peers.get(peerId)?.live ?? null);
      return live?.attemptId === id ? live.blocked.map((blocked) => ({ id, blocked })) : [];
    });
    if (full.length > 0 && chance(40)) {
      const { id, blocked } = pick(full);
      return { type: "event/channelDrained", attemptId: id, channel: blocked };
    }
    return pick<Input>([
      ...CHANNEL_NAMES.map((each) => ({ type: "event/channelOpened", attemptId, channel: each }) as const),
      { type: "event/channelBlocked", attemptId, channel },
      { type: "event/channelBlocked", attemptId, channel },
      { type: "event/channelDrained", attemptId, channel },
      chance(10) ? { type: "event/connectionClosed", attemptId, error: "lost" } : { type: "tick" },
    ]);
  }

  function command(): Input {
    const requestId = freshRequestId();
    const who = party(pick(NAMES));
    switch (random(14)) {
      case 0:
        return { type: "command/disconnect", requestId, peerId: who.peerId };
      case 1:
        return { type: "command/dial", requestId, address: addressOf(party(pick(["us", "we", "I"]))) };
      case 2:
      case 3:
      case 4:
        return { type: "command/dial", requestId, address: addressOf(who, 7_300 + random(2)) };
      case 5:
        return { type: "command/produce", requestId, isOn: chance(50) };
      case 6:
        return { type: "command/work", requestId, isOn: chance(50) };
      case 7:
        return chance(30)
          ? {
              type: "command/ban",
              requestId,
              subject: anySubject(who),
              forMs: chance(5) ? null : random(60_000),
            }
          : { type: "command/unban", requestId, subject: anySubject(who) };
      default: {
        const pool = pick(FETCHED_POOLS);
        return { type: "command/submit", requestId, pool, bytes: pick(ITEMS[pool]).bytes };
      }
    }
  }

  const anySubject = ({ peerId }: Party): BanSubject =>
    chance(50)
      ? { tag: "key", peerId }
      : { tag: "group", group: addressGroup(chance(50) ? ownAddress(peerId) : "20.30.99.1") };

  function stray(): Input {
    const attemptId = anyAttemptId();
    const { hash } = pick(BLOCKS).tip;
    const { root } = pick(SNAPSHOTS);
    const batchId = random(30) as BatchId;
    const pool = node.state.batches.get(batchId)?.pool ?? "transaction";
    // Only the deepest chains need a ledger: here somebody else wants one.
    if (chance(15)) return { type: chance(80) ? "stream/fetch" : "stream/abandon", root } as Action as Input;
    return pick<Input>([
      { type: "event/localDescription", attemptId, sdp: sdpText() },
      { type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress: pick(IPS) },
      { type: "event/envelopeOpened", attemptId, plaintext: bytes(10) },
      { type: "event/signatureChecked", attemptId, valid: chance(50) },
      { type: "event/itemsVerified", batchId, verdicts: pick([null, [valid(pick(ITEMS[pool]))]]) },
      { type: "event/itemsLoaded", attemptId, rpcId: random(5), items: [null] },
      { type: "event/blockLoaded", attemptId, rpcId: random(5), block: null },
      { type: "event/headersVerified", checkId: random(9) as CheckId, verdict: { tag: "valid" } },
      { type: "event/blockApplied", hash, verdict: { tag: "valid" } },
      { type: "event/blockPrepared", hash, missing: [] },
      { type: "event/snapshotApplied", hash, verdict: { tag: "valid" } },
      { type: "event/streamOpened", attemptId, streamId: random(3), manifest: null },
      { type: "event/chunkLoaded", attemptId, streamId: random(3), index: random(9), chunk: null },
      { type: "event/signalAnswered", attemptId, outcome: { tag: "failed", error: "late" } },
      { type: "tick" },
    ]);
  }

  function choose(): Input {
    const dueMs = nextDeadline(node.state);
    if (dueMs !== undefined && dueMs <= node.nowMs && chance(60)) return { type: "tick" };
    const kind = random(100);
    if (kind < 40 && pending.length > 0) {
      const at = random(pending.length);
      const effect = pending[at];
      if (!chance(2)) pending.splice(at, 1);
      const event = effect === undefined ? null : serve(effect);
      if (event !== null) return event;
    }
    if (kind < 76) return message();
    if (kind < 84) return transport();
    if (kind < 88) {
      const requestId = freshRequestId();
      return { type: "event/signalReceived", requestId, remoteAddress: pick(IPS), envelope: bytes(3) };
    }
    if (kind < 96) return command();
    return stray();
  }

  return {
    node,
    inputs: () => inputs,
    replies,
    answers,
    next: () => {
      const pause = random(1_000);
      if (pause < 200) node.freeze(random(400));
      else if (pause < 205) node.freeze(random(12_000));
      else if (pause < 209) node.freeze(random(90_000));
      if (chance(1) && chance(10)) node.freeze(random(100_000_000));
      return (chance(4) ? bringUp() : undefined) ?? feed(choose());
    },
    settle: () => {
      // What is asked for with an answer is answered in the next round: all of it ends.
      for (let rounds = 0; pending.length > 0 && rounds < 1_000; rounds++) {
        const asked = pending;
        pending = [];
        for (const effect of asked) {
          const event = serve(effect);
          if (event !== null) feed(event);
        }
      }
    },
  };
}

const count = (counts: Map<RequestId, number>, requestId: RequestId): void => {
  counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
};
