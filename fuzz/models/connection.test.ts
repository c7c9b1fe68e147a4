import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHANNEL_BITS } from "../../core/channels/table.ts";
import { encode } from "../../core/codec/codec.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId } from "../../core/ids.ts";
import { REASONS, REJECTIONS, type Reason, type Rejection } from "../../core/reasons.ts";
import { offerSchema } from "../../core/signals.ts";
import { nextDeadline } from "../../reducers/step.ts";
import { control, response, say, sayBytes } from "../../reducers/testing/messages.ts";
import { freshRequestId, type Party, party, type TestNode } from "../../reducers/testing/node.ts";
import { closeTransport, openTransport } from "../../reducers/testing/peers.ts";
import {
  addressOf,
  answerTo,
  knock,
  offerOf,
  PUBLIC_IP,
  rejectionOf,
  sdpText,
  sealed,
} from "../../reducers/testing/signals.ts";
import { runs, runsTimeoutMs } from "../runs.ts";
import * as model from "./connection.ts";
import { checkModel, command, createWorld } from "./world.ts";

/** The life of all connections with one key: each thing the node does is one the model does, and nothing is left out. */

type Model = model.ConnectionModel;
type Connection = model.Connection;

interface Real {
  readonly node: TestNode;
  readonly peer: Party;
  /** What the node did since the last comparison, in the words of the model. */
  readonly seen: string[];
  /** Envelopes that the crypto service will open, by attempt. */
  readonly plaintexts: Map<AttemptId, Uint8Array>;
  /** Takes up what the node asks of the world, until nothing is left. */
  readonly settle: () => void;
  /** Nonces of offers the peer has made. */
  readonly offered: string[];
}

function setup(isOurKeyGreater: boolean): { model: Model; real: Real } {
  const world = createWorld();
  const { node } = world;
  const names = ["p", "q", "r", "s", "t", "u", "v", "w"];
  const name = names.find((one) => node.state.config.peerId > party(one).peerId === isOurKeyGreater);
  const [seen, plaintexts] = [[] as string[], new Map<AttemptId, Uint8Array>()];
  const settle = (): void => {
    for (
      let looked = world.look();
      looked.effects.length > 0 || looked.ended.length > 0;
      looked = world.look()
    ) {
      seen.push(...looked.effects.flatMap(wordsOf), ...looked.ended.map((reason) => `ended ${reason}`));
      for (const effect of looked.effects) serve(node, plaintexts, effect);
    }
  };
  const peer = party(name ?? "p");
  const real = { node, peer, seen, plaintexts, settle, offered: [] };
  return { model: model.connectionModel(node.nowMs, node.state.nextAttemptId, isOurKeyGreater), real };
}

function wordsOf(effect: Effect): readonly string[] {
  switch (effect.type) {
    case "effect/createOffer":
      return ["dial"];
    case "effect/createAnswer":
      return [`accept ${effect.attemptId}`];
    case "effect/close":
      return [`close ${effect.attemptId}`];
    case "effect/sealSignal": {
      // The reason is the byte before retryAfterMs.
      const reason = REJECTIONS[effect.unsigned.at(-5) ?? -1];
      return effect.label === "pollen/reject/1" ? [`reject ${effect.attemptId} ${reason}`] : [];
    }
    case "effect/send": {
      const { attemptId, message } = effect;
      if (message.tag === "goodbye")
        return [`goodbye ${attemptId} ${REASONS[message.reason]} ${message.banMs}`];
      return ["hello", "ping", "pong"].includes(message.tag) ? [`${message.tag} ${attemptId}`] : [];
    }
    default:
      return [];
  }
}

/** The services of the node, which always succeed. */
function serve(node: TestNode, plaintexts: Real["plaintexts"], effect: Effect): void {
  switch (effect.type) {
    case "effect/createOffer":
      node.feed({ type: "event/localDescription", attemptId: effect.attemptId, sdp: sdpText() });
      return;
    case "effect/createAnswer": {
      const sdp = sdpText({ setup: "active" });
      node.feed({ type: "event/localDescription", attemptId: effect.attemptId, sdp });
      return;
    }
    case "effect/sealSignal":
      node.feed(sealed(effect));
      return;
    case "effect/openEnvelope": {
      const plaintext = plaintexts.get(effect.attemptId) ?? null;
      node.feed({ type: "event/envelopeOpened", attemptId: effect.attemptId, plaintext });
      return;
    }
    case "effect/verifySignature":
      node.feed({ type: "event/signatureChecked", attemptId: effect.attemptId, valid: true });
      return;
    case "effect/close":
      closeTransport(node, effect.attemptId);
  }
}

/** Dials are the node's own decision: the model says whether it may, and notes it. */
function compare(expected: Model, real: Real): void {
  real.settle();
  if (real.seen.includes("dial") && !expected.out.includes("dial")) {
    expect(model.mayDial(expected)).toBe(true);
    dialed(expected, real);
  }
  expect(model.isDialOverdue(expected)).toBe(false);
  const { seen, node, peer } = real;
  expect(seen.splice(0).sort()).toEqual(expected.out.splice(0).sort());
  expect(node.state.peers.get(peer.peerId)?.live?.attemptId).toBe(model.liveOf(expected)?.id);
}

function dialed(expected: Model, { node }: Real): void {
  const attempt = node.state.attempts.get(expected.nextId as AttemptId);
  model.dial(expected, attempt?.nonce ?? "");
}

type Command = fc.Command<Model, Real>;
type Filter = (one: Connection) => boolean;

/** Something that happens to one of the connections for which it can. */
const to = (
  name: string,
  which: Filter,
  happens: (expected: Model, real: Real, one: Connection, attemptId: AttemptId) => void,
): fc.Arbitrary<Command> =>
  fc.nat(3).map((at) =>
    command<Model, Real>(
      `${name} (${at})`,
      (expected, real) => {
        const fitting = [...expected.all.values()].filter(which);
        const one = fitting[at % fitting.length];
        if (one === undefined) return;
        happens(expected, real, one, one.id as AttemptId);
        compare(expected, real);
      },
      ({ all }) => [...all.values()].some(which),
    ),
  );

const isLive: Filter = ({ stage }) => stage === "live";
const isSettingUp: Filter = ({ stage }) => stage === "connecting";
const isUnproven: Filter = ({ stage, isUp }) => stage === "connecting" && isUp;
const hasTransport: Filter = ({ stage }) => stage === "connecting" || stage === "live";

const dial = fc.constant(
  command<Model, Real>(
    "dial",
    (expected, real) => {
      expected.wanted = { fromMs: expected.nowMs, untilMs: expected.nowMs };
      real.node.feed({ type: "command/dial", requestId: freshRequestId(), address: addressOf(real.peer) });
      compare(expected, real);
    },
    ({ wanted }) => wanted === null,
  ),
);

type Said = Rejection | "answer" | "nonsense";

function replyTo(
  expected: Model,
  { node, plaintexts }: Real,
  one: Connection,
  attemptId: AttemptId,
  said: Said,
  afterMs: number,
): void {
  model.replied(expected, one, said, afterMs);
  const plaintext = (): Uint8Array => {
    if (said === "answer") return answerTo(node, attemptId);
    if (said === "nonsense") return answerTo(node, attemptId, { offerHash: "00".repeat(32) });
    return rejectionOf(node, attemptId, REJECTIONS.indexOf(said), afterMs);
  };
  plaintexts.set(attemptId, plaintext());
  const outcome = { tag: "envelope", envelope: Uint8Array.of(1), remoteAddress: PUBLIC_IP } as const;
  node.feed({ type: "event/signalAnswered", attemptId, outcome });
}

const refuse = fc
  .tuple(fc.constantFrom<Said>("nonsense", ...REJECTIONS), fc.constantFrom(0, 5_000, 700_000))
  .chain(([said, afterMs]) =>
    to(
      `reply ${said} ${afterMs}`,
      ({ stage }) => stage === "asking",
      (expected, real, one, attemptId) => replyTo(expected, real, one, attemptId, said, afterMs),
    ),
  );

const offer = fc
  .tuple(fc.constantFrom(0, 0, 0, -1_000, 29_000, -31_000, 31_000, 60_000, -60_001), fc.boolean(), fc.nat(9))
  .map(([sinceMs, isGreatNonce, repeats]) =>
    command<Model, Real>(`offer ${sinceMs} ${isGreatNonce} ${repeats}`, (expected, real) => {
      const { node, peer, offered } = real;
      const issuedMs = expected.nowMs + sinceMs;
      const made = offerOf(node, peer, { issuedAt: BigInt(issuedMs) });
      const fresh = isGreatNonce ? `ff${made.nonce.slice(2)}` : made.nonce;
      const nonce = repeats === 0 ? (offered.at(-1) ?? fresh) : fresh;
      offered.push(nonce);
      model.offered(expected, issuedMs, nonce);
      const next = node.state.nextAttemptId;
      real.plaintexts.set(next as AttemptId, encode(offerSchema, { ...made, nonce }));
      knock(node);
      compare(expected, real);
    }),
  );

const unmask = to(
  "another certificate",
  (one) => isSettingUp(one) && !one.isUp,
  (expected, { node }, one, attemptId) => {
    model.unmasked(expected, one);
    node.feed({ type: "event/connected", attemptId, fingerprint: "ee".repeat(32), remoteAddress: PUBLIC_IP });
  },
);

const helloOf = ({ node }: Real, attemptId: AttemptId, changes: object = {}) => {
  const session = node.state.attempts.get(attemptId)?.session ?? "";
  const hello = { tag: "hello", version: 1, session, userAgent: "model", channels: CHANNEL_BITS } as const;
  return control({ ...hello, ...changes });
};

/** The next step of its way to ready, as honest peers take it. */
const onward = to(
  "it goes on",
  ({ stage }) => stage === "asking" || stage === "connecting",
  (expected, real, one, attemptId) => {
    if (one.stage === "asking") {
      replyTo(expected, real, one, attemptId, "answer", 0);
    } else if (one.isUp) {
      model.greeted(expected, one);
      say(real.node, attemptId, helloOf(real, attemptId));
    } else {
      model.opened(expected, one);
      openTransport(real.node, attemptId);
    }
  },
);

const FALSE_HELLOS: readonly (readonly [object, Reason])[] = [
  [{ session: "00".repeat(32) }, "badSignature"],
  [{ channels: CHANNEL_BITS & ~1 }, "undecodable"],
];
const falseHello = fc.constantFrom(...FALSE_HELLOS).chain(([changes, reason]) =>
  to(`a Hello that is ${reason}`, isUnproven, (expected, real, one, attemptId) => {
    model.misbehaved(expected, one, reason);
    say(real.node, attemptId, helloOf(real, attemptId, changes));
  }),
);

/** What a peer that is live must not do. */
const CRIMES: Readonly<Record<string, (real: Real, attemptId: AttemptId) => void>> = {
  undecodable: ({ node }, attemptId) =>
    node.feed({ type: "event/textReceived", attemptId, channel: "control" }),
  oversized: ({ node }, attemptId) => sayBytes(node, attemptId, "control", new Uint8Array(513)),
  badState: (real, attemptId) => say(real.node, attemptId, helloOf(real, attemptId)),
  responseMismatch: ({ node }, attemptId) => say(node, attemptId, response(9, { tag: "notFound" })),
};
const crime = fc.constantFrom(...(Object.keys(CRIMES) as Reason[])).chain((reason) =>
  to(`it is ${reason}`, isLive, (expected, real, one, attemptId) => {
    model.misbehaved(expected, one, reason);
    CRIMES[reason]?.(real, attemptId);
  }),
);

const ping = to(
  "Ping",
  ({ isUp }) => isUp,
  (expected, { node }, one, attemptId) => {
    if (one.stage === "live") model.heardPing(expected, one);
    else model.misbehaved(expected, one, "badState");
    say(node, attemptId, control({ tag: "ping", n: 7 }));
  },
);

const pong = fc.boolean().chain((isRight) =>
  to(`Pong ${isRight}`, isLive, (expected, { node, peer }, _one, attemptId) => {
    const open = node.state.peers.get(peer.peerId)?.live?.control.awaitingPong;
    if (isRight && open != null) model.heardPong(expected);
    else model.heard(expected);
    say(node, attemptId, control({ tag: "pong", n: isRight && open != null ? open.n : 4_000_000_000 }));
  }),
);

const goodbye = fc
  .tuple(fc.constantFrom(...REASONS), fc.constantFrom(0, 86_400_000))
  .chain(([reason, banMs]) =>
    to(
      `Goodbye ${reason} ${banMs}`,
      ({ isUp }) => isUp,
      (expected, { node }, one, attemptId) => {
        model.goodbyeHeard(expected, one, reason, banMs);
        say(node, attemptId, control({ tag: "goodbye", reason: REASONS.indexOf(reason), banMs }));
        // Everything after it is ignored.
        sayBytes(node, attemptId, "control", new Uint8Array(513));
      },
    ),
  );

const broken = to("it breaks", hasTransport, (expected, { node }, one, attemptId) => {
  model.broke(expected, one);
  closeTransport(node, attemptId);
});

const wait = fc
  .oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 3_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: 3_000, max: 30_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(600_000, 1_800_000, 86_400_000) },
  )
  .map((ms) =>
    command<Model, Real>(`${ms} ms`, (expected, real) => {
      const { node } = real;
      for (const endMs = expected.nowMs + ms; expected.nowMs < endMs; ) {
        const dueMs = Math.min(model.nextMs(expected), nextDeadline(node.state) ?? endMs);
        const partMs = Math.min(endMs - expected.nowMs, Math.max(1, dueMs - expected.nowMs));
        node.pass(partMs);
        expected.nowMs += partMs;
        model.tick(expected);
        compare(expected, real);
      }
    }),
  );

const COMMANDS: fc.Arbitrary<Command>[] = [
  dial,
  offer,
  offer,
  onward,
  onward,
  onward,
  onward,
  onward,
  pong,
  fc.oneof(refuse, falseHello, crime, goodbye, broken, unmask, ping),
  wait,
];

describe("model of a connection", () => {
  test.each([true, false])(
    "whatever happens, the node does what sections 3 to 5 say (our key is the greater: %s)",
    { timeout: runsTimeoutMs(120_000) },
    (isGreater) => {
      checkModel(COMMANDS, () => setup(isGreater), { numRuns: runs(80), maxCommands: 60 });
    },
  );
});
