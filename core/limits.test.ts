import { describe, expect, test } from "vitest";
import { controlSchema } from "./channels/control.ts";
import { rpcSchema } from "./channels/rpc.ts";
import { CHANNEL_BITS, CHANNEL_NAMES, CHANNELS } from "./channels/table.ts";
import { type TransactionMessage, transactionSchema } from "./channels/transaction.ts";
import { encode } from "./codec/codec.ts";
import type { Schema, Shape } from "./codec/schema.ts";
import { greatestSize } from "./codec/testing.ts";
import type { Hash } from "./ids.ts";
import * as limits from "./limits.ts";
import { REASONS, REJECTIONS, severity } from "./reasons.ts";
import { envelopeSchema, offerSchema, replySchema } from "./signals.ts";

/** Ends the ciphertext of an envelope (section 3). */
const SEAL_TAG_BYTES = 16;

describe("limits: the numbers of the protocol", () => {
  /** What other implementations rely on, from the text of docs/protocol.md. */
  const NORMATIVE: Partial<Record<keyof typeof limits, number>> = {
    MESSAGE_BYTES_MAX: 64 * 1024,
    SDP_MESSAGE_BYTES_MIN: 131_072,
    CONTROL_BYTES_MAX: 512,
    TRANSACTION_BYTES_MAX: 4 * 1024,
    RPC_BYTES_MAX: 64 * 1024,
    CHUNK_BYTES: 60_000,
    ITEM_BYTES_MAX: 16_384,
    ENVELOPE_BYTES_MAX: 16 * 1024,
    SDP_BYTES_MAX: 8_192,
    SDP_CANDIDATES_MAX: 16,
    ADDRESS_BYTES_MAX: 256,
    SIGNAL_AGE_MAX_MS: 60_000,
    REPLAY_MEMORY_MS: 180_000,
    CANDIDATES_HOLD_MS: 500,
    ATTEMPT_TIMEOUT_MS: 15_000,
    SIGNAL_REPLY_TIMEOUT_MS: 15_000,
    DUPLICATE_PROBE_MS: 2_000,
    SIMULTANEOUS_DIAL_MS: 30_000,
    USER_AGENT_BYTES_MAX: 64,
    PING_AFTER_MS: 10_000,
    PONG_TIMEOUT_MS: 10_000,
    GOODBYE_DRAIN_MS: 2_000,
    BUFFERED_BYTES_MAX: 256 * 1024,
    STALLED_AFTER_MS: 8_000,
    RATE_BURST: 64,
    BAN_MS: 24 * 60 * 60 * 1_000,
    INFOS_MAX: 32,
    CANDIDATES_PER_PEER_MAX: 64,
    SETTLE_TIMEOUT_MS: 15_000,
    RPC_OPEN_MAX: 4,
    RPC_HASHES_MAX: 16,
    RPC_TIMEOUT_MS: 5_000,
    RPC_BLOCKED_MS: 30_000,
  };

  test.each(Object.entries(NORMATIVE))("%s is %i", (name, value) => {
    expect(new Map<string, number>(Object.entries(limits)).get(name)).toBe(value);
  });

  test("channels have the ids and bits of section 7", () => {
    expect(CHANNEL_NAMES.map((name) => [name, CHANNELS[name].id])).toEqual([
      ["control", 0],
      ["transaction", 4],
      ["rpc", 7],
    ]);
    expect(CHANNEL_BITS).toBe(0b1001_0001);
  });

  test("reasons have the numbers of section 5, rejections those of section 3", () => {
    expect([REASONS.length, REJECTIONS.length]).toEqual([21, 12]);
    expect([
      "noPermit",
      "undecodable",
      "responseMismatch",
      "timeout",
      "doesNotHave",
      "capacity",
      "useless",
    ]).toEqual([0, 3, 11, 12, 14, 15, 20].map((number) => REASONS[number]));
    expect(REASONS.map(severity)).toEqual([
      ...Array(12).fill("violation"),
      ...Array(3).fill("unreliable"),
      ...Array(6).fill("neutral"),
    ]);
    expect(["chainMismatch", "badSignature", "capacity", "rateLimited", "badSdp"]).toEqual(
      [0, 3, 6, 8, 11].map((number) => REJECTIONS[number]),
    );
  });
});

describe("limits: every message fits", () => {
  test("the longest message of each kind fits its channel", () => {
    for (const [name, size] of casesOf(controlSchema)) {
      expect([name, size <= CHANNELS.control.bytesMax]).toEqual([name, true]);
    }
    for (const [name, size] of casesOf(transactionSchema)) {
      expect([name, size <= CHANNELS.transaction.bytesMax]).toEqual([name, true]);
    }
  });

  test("the longest rpc message of each kind fits, but for those whose entries are cut to fit", () => {
    const bodies = rpcSchema.shape.tag === "union" ? rpcSchema.shape.cases : [];
    const tooLong = bodies.flatMap(([direction, fields]) => {
      const body = fields.tag === "struct" ? fields.fields.find(([name]) => name === "body")?.[1] : undefined;
      // The tag of the message and its id come before the body.
      return casesOf(body).flatMap(([name, size]) =>
        1 + 4 + size > limits.RPC_BYTES_MAX ? [`${direction} ${name}`] : [],
      );
    });
    // Items: "a shorter vec means the rest did not fit". Reconcile: "64 KiB in all".
    expect(tooLong).toEqual(["request reconcile", "response items", "response reconcile"]);
  });

  test("the longest sizes are real: messages that have them can be encoded", () => {
    const hash = "f".repeat(64) as Hash;
    const priority = { class: 65_535, hash };
    const cursor = { epoch: 2n ** 64n - 1n, next: 2n ** 64n - 1n };
    const window = { seq: 2 ** 32 - 1, floor: priority, band: priority };
    const info = { hash, fee: 1n, sender: hash, nonce: 1 };
    const messages: readonly TransactionMessage[] = [
      { tag: "getNext", limit: limits.INFOS_MAX, window, resume: cursor },
      { tag: "refloor", window },
      { tag: "infos", cursor, seq: 1, rest: priority, items: Array(limits.INFOS_MAX).fill(info) },
    ];
    expect(messages.map((message) => [message.tag, encode(transactionSchema, message).length])).toEqual(
      casesOf(transactionSchema),
    );
    const userAgent = "u".repeat(limits.USER_AGENT_BYTES_MAX);
    const hello = encode(controlSchema, { tag: "hello", version: 1, session: hash, userAgent, channels: 1 });
    expect(hello).toHaveLength(greatestSize(controlSchema.shape));
  });

  test("an envelope holds the longest offer and the longest reply, with the seal's tag", () => {
    const ciphertextMax = greatestSize(envelopeSchema.shape) - (32 + 12 + 4);
    expect(greatestSize(offerSchema.shape) + SEAL_TAG_BYTES).toBeLessThanOrEqual(ciphertextMax);
    expect(greatestSize(replySchema.shape) + SEAL_TAG_BYTES).toBeLessThanOrEqual(ciphertextMax);
    expect(greatestSize(envelopeSchema.shape)).toBe(limits.ENVELOPE_BYTES_MAX);
  });

  test("a response holds the longest item, and at least three of them", () => {
    const head = 1 + 4 + 1 + 4;
    const entry = 1 + 4 + limits.ITEM_BYTES_MAX;
    expect(head + 3 * entry).toBeLessThanOrEqual(limits.RPC_BYTES_MAX);
  });

  test("a chunk with the longest proof fits a message", () => {
    const chunk = 1 + 4 + 4 + (4 + limits.CHUNK_BYTES) + (4 + 24 * 32);
    expect(chunk).toBeLessThanOrEqual(limits.MESSAGE_BYTES_MAX);
  });
});

describe("limits: relations", () => {
  const {
    ADMISSION_GLOBAL_BURST,
    ADMISSION_GLOBAL_PER_SECOND,
    ADMISSION_GROUP_BURST,
    ADMISSION_GROUP_PER_SECOND,
    ADMISSION_IP_BURST,
    ADMISSION_IP_PER_SECOND,
  } = limits;

  const RELATIONS: readonly (readonly [string, boolean])[] = [
    [
      "no channel's messages are longer than a message may be",
      CHANNEL_NAMES.every((name) => CHANNELS[name].bytesMax <= limits.MESSAGE_BYTES_MAX),
    ],
    [
      "a message twice too long still arrives whole",
      limits.SDP_MESSAGE_BYTES_MIN >= 2 * limits.MESSAGE_BYTES_MAX,
    ],
    ["a full buffer holds several messages", limits.BUFFERED_BYTES_MAX >= 2 * limits.MESSAGE_BYTES_MAX],
    ["an item that is sent whole is one chunk", limits.ITEM_BYTES_MAX <= limits.CHUNK_BYTES],

    ["no replay outlives its entry", limits.REPLAY_MEMORY_MS > 2 * limits.SIGNAL_AGE_MAX_MS],
    [
      "a signal does not become stale within its attempt",
      limits.ATTEMPT_TIMEOUT_MS < limits.SIGNAL_AGE_MAX_MS,
    ],
    ["the reply comes within the attempt", limits.SIGNAL_REPLY_TIMEOUT_MS <= limits.ATTEMPT_TIMEOUT_MS],
    [
      "the probe of a duplicate leaves time to connect",
      2 * limits.DUPLICATE_PROBE_MS < limits.ATTEMPT_TIMEOUT_MS,
    ],
    ["the hold leaves time to connect", 2 * limits.CANDIDATES_HOLD_MS < limits.ATTEMPT_TIMEOUT_MS],
    ["two attempts that can meet are simultaneous", limits.SIMULTANEOUS_DIAL_MS >= limits.ATTEMPT_TIMEOUT_MS],

    ["an address has no more burst than its group", ADMISSION_IP_BURST <= ADMISSION_GROUP_BURST],
    ["a group has no more burst than all", ADMISSION_GROUP_BURST <= ADMISSION_GLOBAL_BURST],
    ["an address has no higher rate than its group", ADMISSION_IP_PER_SECOND <= ADMISSION_GROUP_PER_SECOND],
    ["a group has no higher rate than all", ADMISSION_GROUP_PER_SECOND <= ADMISSION_GLOBAL_PER_SECOND],
    ["the rate of an address is its burst in 16 s", ADMISSION_IP_PER_SECOND === ADMISSION_IP_BURST / 16],
    ["the rate of a group is its burst in 16 s", ADMISSION_GROUP_PER_SECOND === ADMISSION_GROUP_BURST / 16],
    [
      "half-open of a group is half an address's burst",
      limits.HALF_OPEN_PER_GROUP_MAX === ADMISSION_IP_BURST / 2,
    ],
    ["several groups fit half-open", limits.HALF_OPEN_PER_GROUP_MAX * 2 <= limits.HALF_OPEN_MAX],
    ["Retry-After can say when a token comes", 1 / ADMISSION_IP_PER_SECOND <= limits.RETRY_AFTER_MAX_S],
    [
      "Retry-After is in order",
      limits.RETRY_AFTER_MIN_S >= 1 && limits.RETRY_AFTER_MIN_S < limits.RETRY_AFTER_MAX_S,
    ],
    [
      "more buckets than half-open connections are remembered",
      limits.ADMISSION_BUCKETS_MAX > limits.HALF_OPEN_MAX,
    ],

    ["the back-off grows", limits.DIAL_BACKOFF_MIN_MS < limits.DIAL_BACKOFF_MAX_MS],
    [
      "a lasting refusal counts as much as the longest back-off",
      limits.DIAL_REFUSED_MS >= limits.DIAL_BACKOFF_MAX_MS,
    ],
    ["not all slots are reserved for outgoing", 2 * limits.OUTGOING_RESERVE < limits.PEERS_MAX_DEFAULT],

    ["the keepalive keeps to the rate of pings", limits.PING_AFTER_MS >= limits.PING_INTERVAL_MIN_MS],
    [
      "the budget of pings is their interval",
      limits.PINGS_PER_SECOND * limits.PING_INTERVAL_MIN_MS === 1_000,
    ],
    [
      "a dead peer is found before the transport finds it",
      limits.PING_AFTER_MS + limits.PONG_TIMEOUT_MS < 30_000,
    ],
    ["what stalls is closed before its pong is missed", limits.STALLED_AFTER_MS < limits.PONG_TIMEOUT_MS],

    ["strikes rest longer than they are counted", limits.STRIKES_REST_MS >= limits.STRIKES_WINDOW_MS],
    ["a ban outlasts strikes", limits.BAN_MS > limits.STRIKES_REST_MS],

    [
      "the candidates of a permit fit, and those of the next",
      limits.CANDIDATES_PER_PEER_MAX >= 2 * limits.INFOS_MAX,
    ],
    ["a message's items fit one batch", limits.VERIFY_BATCH_MAX >= limits.INFOS_MAX],
    [
      "an announcement can be fetched twice before it fails",
      limits.SETTLE_TIMEOUT_MS > 2 * limits.RPC_TIMEOUT_MS,
    ],
    [
      "a message's items can be fetched with the requests one peer may have open",
      limits.RPC_OPEN_MAX * limits.RPC_HASHES_MAX >= limits.INFOS_MAX,
    ],
    ["slots are blocked only after requests timed out", limits.RPC_BLOCKED_MS > limits.RPC_TIMEOUT_MS],
  ];

  test.each(RELATIONS)("%s", (_, holds) => {
    expect(holds).toBe(true);
  });

  test("every limit is a positive number", () => {
    for (const [name, value] of Object.entries(limits)) {
      expect([name, typeof value === "number" && value > 0]).toEqual([name, true]);
    }
  });
});

/** Names of a union's cases with the size of the longest encoding of each. */
function casesOf(union: Schema<unknown> | Shape | undefined): readonly (readonly [string, number])[] {
  const shape = union !== undefined && "shape" in union ? union.shape : union;
  if (shape?.tag !== "union") throw new Error("only a union has cases");
  return shape.cases.map(([name, fields]) => [name, 1 + greatestSize(fields)]);
}
