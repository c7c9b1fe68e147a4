import type { Input } from "../core/actions.ts";
import { assert } from "../core/assert.ts";
import type { TransactionInfo, TransactionVerdict } from "../core/chain.ts";
import type { Found } from "../core/channels/rpc.ts";
import { CHANNEL_BITS, CHANNEL_NAMES } from "../core/channels/table.ts";
import { encode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import type { AttemptId, BatchId, Hash, RequestId } from "../core/ids.ts";
import { REASONS } from "../core/reasons.ts";
import { type Offer, offerSchema } from "../core/signals.ts";
import type { Attempt, Config } from "../core/state.ts";
import { nextDeadline } from "./step.ts";
import {
  addressOf,
  answerTo,
  candidate,
  control,
  dialTo,
  encodeSaid,
  FINGERPRINT,
  freshRequestId,
  getNext,
  type Item,
  infos,
  itemOf,
  offerFrom,
  offerOf,
  openTransport,
  PUBLIC_IP,
  party,
  type Result,
  refloor,
  rejectionOf,
  request,
  response,
  type Said,
  sayHello,
  sdpText,
  sealed,
  type TestNode,
  testNode,
} from "./testing.ts";

// Any input, in any order, at any time: half of it what services and peers would say, the rest what they would not.

/** Small numbers are likely, so that things meet. */
export type Random = (below: number) => number;

/** mulberry32 */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const NAMES = Array.from({ length: 16 }, (_, index) => `peer ${index}`);
const IPS = [PUBLIC_IP, "20.30.40.51", "99.1.2.3", "127.0.0.1", "10.0.0.1", "2a00::1", "not an address"];
const ITEMS: readonly Item[] = Array.from({ length: 120 }, (_, index) =>
  itemOf(`chaos ${index}`, BigInt(10 ** (index % 5)), index % 9, `sender ${index % 7}`),
);

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
  const random = randomOf(seed);
  const pick = <T>(values: readonly T[]): T => {
    const value = values[random(values.length)];
    assert(value !== undefined, "there is something to pick");
    return value;
  };
  const chance = (percent: number): boolean => random(100) < percent;
  const replies = new Map<RequestId, number>();
  const answers = new Map<RequestId, number>();
  let pending: Effect[] = [];
  let inputs = 0;

  const node = testNode({ peersMax: 5, ...changes }, pick(["us", "we", "I"]), (input, result) => {
    if (input.type === "event/signalReceived")
      replies.set(input.requestId, replies.get(input.requestId) ?? 0);
    if ("requestId" in input && input.type.startsWith("command/")) {
      answers.set(input.requestId, answers.get(input.requestId) ?? 0);
    }
    inputs += 1;
    for (const effect of result.effects) {
      if (effect.type === "effect/replySignal") count(replies, effect.requestId);
      else if (effect.type === "effect/answerCommand") count(answers, effect.requestId);
      else if (effect.type === "effect/send") encodeSaid(effect);
      else pending.push(effect);
    }
    look(input, result);
  });
  const { feed } = node;

  const attempts = (): readonly Attempt[] => [...node.state.attempts.values()];
  const anyAttemptId = (): AttemptId => {
    const known = attempts();
    return known.length === 0 || chance(5) ? (random(40) as AttemptId) : pick(known).id;
  };
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => random(256));

  /** A key that may come in gets as far as it can without accidents. */
  function bringUp(): Result | undefined {
    const who = party(pick(NAMES));
    const { peers, offenders, stopping } = node.state;
    const known = peers.get(who.peerId);
    const halfOpen = attempts().filter(({ direction }) => direction === "incoming").length;
    if (stopping || offenders.has(who.peerId) || halfOpen > 40) return undefined;
    if (known === undefined && peers.size > 3) return undefined;
    const dials = chance(30) && known === undefined;
    const { attemptId } = dials ? dialTo(node, who) : offerFrom(node, who);
    if (node.state.attempts.get(attemptId)?.phase.tag !== "connecting") return undefined;
    pending = pending.filter((effect) => !("attemptId" in effect) || effect.attemptId !== attemptId);
    openTransport(node, attemptId);
    return sayHello(node, attemptId);
  }

  function serve(effect: Effect): Input | null {
    const isFaulty = chance(8);
    switch (effect.type) {
      case "effect/createOffer":
      case "effect/createAnswer": {
        const { attemptId } = effect;
        if (isFaulty) return { type: "event/connectionClosed", attemptId, error: "no SDP" };
        const setup = effect.type === "effect/createOffer" ? "actpass" : "active";
        const sdp = chance(3) ? "ü".repeat(5_000) : sdpText({ setup });
        return { type: "event/localDescription", attemptId, sdp };
      }
      case "effect/applyAnswer":
      case "effect/addCandidates": {
        const fingerprint = isFaulty ? "00".repeat(32) : FINGERPRINT;
        return {
          type: "event/connected",
          attemptId: effect.attemptId,
          fingerprint,
          remoteAddress: pick(IPS),
        };
      }
      case "effect/close":
        return { type: "event/connectionClosed", attemptId: effect.attemptId, error: null };
      case "effect/postSignal": {
        const { attemptId } = effect;
        const outcome = isFaulty
          ? pick([
              { tag: "failed", error: "refused" } as const,
              { tag: "refused", status: 503, retryAfterS: pick([null, 1, 60]) } as const,
            ])
          : ({ tag: "envelope", envelope: bytes(1), remoteAddress: pick(IPS) } as const);
        return { type: "event/signalAnswered", attemptId, outcome };
      }
      case "effect/openEnvelope":
        return { type: "event/envelopeOpened", attemptId: effect.attemptId, plaintext: plaintext(effect) };
      case "effect/verifySignature":
        return { type: "event/signatureChecked", attemptId: effect.attemptId, valid: !isFaulty };
      case "effect/sealSignal":
        return sealed(effect);
      case "effect/verifyTransactions": {
        const verdicts = effect.items.map(({ hash }) => verdictOf(hash));
        return { type: "event/transactionsVerified", batchId: effect.batchId, verdicts };
      }
      case "effect/loadItems": {
        const { attemptId, rpcId } = effect;
        const items = effect.hashes.map((hash) => {
          const held = ITEMS.find(({ info }) => info.hash === hash)?.bytes ?? null;
          return chance(20) ? bytes(pick([0, 16_384, 16_385])) : held;
        });
        return { type: "event/itemsLoaded", attemptId, rpcId, items };
      }
      default:
        return null;
    }
  }

  function plaintext({
    attemptId,
    kind,
  }: Extract<Effect, { type: "effect/openEnvelope" }>): Uint8Array | null {
    if (chance(4)) return null;
    if (chance(4)) return bytes(random(400));
    const attempt = node.state.attempts.get(attemptId);
    if (kind === "answer") {
      if (attempt?.target == null) return null;
      if (chance(15)) return rejectionOf(node, attemptId, random(12), random(100_000));
      return answerTo(node, attemptId, chance(8) ? { issuedAt: 1n } : {});
    }
    return encode(offerSchema, offerOf(node, party(pick(NAMES)), chance(25) ? oddOffer() : {}));
  }

  const oddOffer = (): Partial<Offer> =>
    pick<Partial<Offer>>([
      { version: 2 },
      { chainId: "00".repeat(32) },
      { from: node.state.config.publicKey },
      { from: "ff".repeat(32) },
      { to: party("peer 0").publicKey },
      { issuedAt: 0n },
      { issuedAt: 2n ** 64n - 1n },
      { issuedAt: BigInt(node.nowMs + random(120_000) - 60_000) },
      { nonce: "11".repeat(16) },
      { sdp: "v=0" },
      { sdp: sdpText({ candidates: [candidate("127.0.0.1"), candidate("10.0.0.1")] }) },
      { listen: "x" },
    ]);

  const verdictOf = (hash: Hash): TransactionVerdict => {
    const info = ITEMS.find((item) => item.info.hash === hash)?.info ?? infoOf();
    return pick<TransactionVerdict>([
      { tag: "valid", info },
      { tag: "valid", info },
      { tag: "valid", info },
      chance(30) ? { tag: "invalid", detail: "bad" } : { tag: "notNow", detail: "later" },
    ]);
  };

  function infoOf(): TransactionInfo {
    const { info } = pick(ITEMS);
    return chance(1) ? { ...info, fee: BigInt(random(1_000)), nonce: random(4) } : info;
  }

  /** Something a peer might say at this point, right or nearly right. */
  function saidBy(attempt: Attempt): Said {
    const live = attempt.peerId === null ? null : (node.state.peers.get(attempt.peerId)?.live ?? null);
    if (attempt.hello === null && chance(60)) {
      const session = chance(95) ? attempt.session : "00".repeat(32);
      const channels = pick([CHANNEL_BITS, CHANNEL_BITS, CHANNEL_BITS, 1, 17, 129, 0xffff]);
      return control({ tag: "hello", version: 1 + random(2), session, userAgent: "chaos", channels });
    }
    const isRight = !chance(2);
    const { ours, theirs, theirSeq = -1 } = live?.transaction ?? {};
    const seq = isRight ? theirSeq + 1 : Math.max(0, theirSeq);
    const ping = control({ tag: "ping", n: random(2 ** 32) });
    switch (random(12)) {
      case 0:
      case 1:
      case 2:
        return control({ tag: "pong", n: live?.control.awaitingPong?.n ?? random(10) });
      case 3:
        return chance(90)
          ? ping
          : control({ tag: "goodbye", reason: random(REASONS.length), banMs: random(100_000) });
      case 4:
      case 5:
        if (theirs?.tag === "open" && isRight) return refloor(seq);
        return getNext(seq, {
          limit: 1 + random(32),
          resume: pick([null, cursor()]),
          window: { seq, floor: pick([null, priority()]), band: pick([null, null, priority()]) },
        });
      case 6:
        return refloor(seq);
      case 7:
      case 8: {
        if (ours?.tag !== "permitGiven" && isRight) return ping;
        const items = Array.from({ length: isRight ? 1 + random(20) : 0 }, infoOf);
        return infos(
          (ours?.tag === "permitGiven" ? ours.windows.at(-1)?.seq : undefined) ?? 0,
          chance(90) ? [...new Set(items)] : items,
        );
      }
      case 9: {
        const hashes = Array.from({ length: 1 + random(16) }, () => pick(ITEMS).info.hash);
        if (live?.rpc?.theirs.length === 4 && isRight) return ping;
        const id = (live?.rpc?.theirNextId ?? 0) + (isRight ? 0 : 1);
        return request(id, pick([{ tag: "transactions", hashes }, { tag: "peers" }, { tag: "bestTip" }]));
      }
      default: {
        const open = live?.rpc?.ours ?? [];
        if (open.length === 0) return control({ tag: "ping", n: 1 });
        const { id, hashes } = pick(open);
        if (chance(10)) return response(id, pick([{ tag: "notFound" }, { tag: "busy" }]));
        return response(id, {
          tag: "items",
          found: hashes.slice(0, isRight ? 1 + random(16) : 16).map(foundOf),
        });
      }
    }
  }

  const foundOf = (hash: Hash): Found => {
    const held = ITEMS.find(({ info }) => info.hash === hash);
    if (held === undefined || chance(8)) return pick([{ tag: "none" }, { tag: "stream" }]);
    return { tag: "some", bytes: chance(99) ? held.bytes : bytes(10) };
  };

  const priority = () => ({ class: random(120), hash: pick(ITEMS).info.hash });
  const cursor = () => ({ epoch: node.state.transactions.epoch, next: BigInt(random(20)) });

  function message(): Input {
    const open = attempts().filter(({ phase }) => phase.tag === "ready" || phase.tag === "connecting");
    if (open.length === 0) return { type: "tick" };
    const attempt = pick(open);
    const { id: attemptId } = attempt;
    const said = saidBy(attempt);
    const { channel } = said;
    const encoded = encodeSaid(said);
    if (!chance(1)) return { type: "event/message", attemptId, channel, bytes: encoded };
    const broken = pick([bytes(random(40)), encoded.subarray(1), bytes(66_000), new Uint8Array()]);
    return pick<Input>([
      { type: "event/message", attemptId, channel: pick(CHANNEL_NAMES), bytes: broken },
      { type: "event/textReceived", attemptId, channel },
    ]);
  }

  function transport(): Input {
    const attemptId = anyAttemptId();
    const channel = pick(CHANNEL_NAMES);
    return pick<Input>([
      { type: "event/channelOpened", attemptId, channel: "control" },
      { type: "event/channelOpened", attemptId, channel: "transaction" },
      { type: "event/channelOpened", attemptId, channel: "rpc" },
      { type: "event/channelOpened", attemptId, channel },
      { type: "event/channelBlocked", attemptId, channel },
      { type: "event/channelDrained", attemptId, channel },
      chance(10) ? { type: "event/connectionClosed", attemptId, error: "lost" } : { type: "tick" },
    ]);
  }

  function command(): Input {
    const requestId = freshRequestId();
    const who = party(pick(NAMES));
    switch (random(12)) {
      case 0:
        return { type: "command/disconnect", requestId, peerId: who.peerId };
      case 1:
        return { type: "command/dial", requestId, address: addressOf(party(pick(["us", "we", "I"]))) };
      case 2:
      case 3:
      case 4:
        return { type: "command/dial", requestId, address: addressOf(who, 7_300 + random(2)) };
      default:
        return { type: "command/submitTransaction", requestId, bytes: pick(ITEMS).bytes };
    }
  }

  function stray(): Input {
    const attemptId = anyAttemptId();
    return pick<Input>([
      { type: "event/localDescription", attemptId, sdp: sdpText() },
      { type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress: pick(IPS) },
      { type: "event/envelopeOpened", attemptId, plaintext: bytes(10) },
      { type: "event/signatureChecked", attemptId, valid: chance(50) },
      {
        type: "event/transactionsVerified",
        batchId: random(30) as BatchId,
        verdicts: [verdictOf(pick(ITEMS).info.hash)],
      },
      { type: "event/itemsLoaded", attemptId, rpcId: random(5), items: [null] },
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
    if (kind < 74) return message();
    if (kind < 82) return transport();
    if (kind < 86) {
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
      else if (pause < 207) node.freeze(random(60_000));
      if (chance(1) && chance(10)) node.freeze(random(100_000_000));
      return (chance(4) ? bringUp() : undefined) ?? feed(choose());
    },
    settle: () => {
      while (pending.length > 0) {
        const asked = pending;
        pending = [];
        for (const effect of asked) {
          const event = serve(effect);
          if (event?.type === "event/transactionsVerified" && effect.type === "effect/verifyTransactions") {
            const verdicts = effect.items.map(({ hash }) => verdictOf(hash));
            feed({ ...event, verdicts });
          } else if (event !== null) feed(event);
        }
      }
    },
  };
}

const count = (counts: Map<RequestId, number>, requestId: RequestId): void => {
  counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
};
