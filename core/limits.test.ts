import { describe, expect, test } from "vitest";
import type { Hex } from "./bytes.ts";
import { controlSchema } from "./channels/control.ts";
import {
  type PoolMessage,
  snarkJobCommitmentSchema,
  snarkSchema,
  transactionSchema,
} from "./channels/permits.ts";
import { rpcSchema } from "./channels/rpc.ts";
import { CHANNEL_BITS, CHANNEL_NAMES, CHANNELS } from "./channels/table.ts";
import { encode } from "./codec/codec.ts";
import type { Schema, Shape } from "./codec/schema.ts";
import { greatestSize } from "./codec/testing.ts";
import type { Hash, JobId } from "./ids.ts";
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
    BEST_TIP_BYTES_MAX: 8 * 1024,
    SNARK_BYTES_MAX: 4 * 1024,
    COMMITMENT_BYTES_MAX: 8 * 1024,
    RPC_BYTES_MAX: 64 * 1024,
    STREAMING_BYTES_MAX: 64 * 1024,
    CHUNK_BYTES: 60_000,
    CHUNK_PROOF_MAX: 24,
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
    SETTLE_TIMEOUT_MS: 15_000,
    BAND_INTERVAL_MS: 10_000,
    REFLOOR_INTERVAL_MS: 1_000,
    REFLOORS_PER_SECOND: 1,
    PINGS_PER_SECOND: 0.2,
    HEDGE_MS: 500,
    RESUME_MS: 600_000,
    RECONCILE_POOL_MIN: 200,
    RECONCILE_TIMEOUT_MS: 10_000,
    WITHHELD_MIN: 20,
    WITHHELD_WINDOW_MS: 600_000,
    COMMITMENT_AGE_MAX_MS: 600_000,
    RING_MAX: 512,
    TRANSACTION_CAPACITY_DEFAULT: 3_000,
    PEERS_MAX_DEFAULT: 100,
    OUTGOING_RESERVE: 12,
    HALF_OPEN_MAX: 64,
    BLOCKS_KEPT_MIN: 290,
    TIP_SETTLE_MS: 10_000,
    SYNC_RETRY_MIN_MS: 1_000,
    SYNC_RETRY_MAX_MS: 60_000,
    BLOCK_TRANSACTIONS_MAX: 1_024,
    BLOCK_SNARKS_MAX: 256,
    ANCESTRY_MAX: 128,
    SUB_WINDOWS: 11,
    SLOTS_PER_SUB_WINDOW: 7,
    RPC_OPEN_MAX: 4,
    RPC_HASHES_MAX: 16,
    RPC_TIMEOUT_MS: 5_000,
    RPC_BLOCK_TIMEOUT_MS: 8_000,
    RPC_BLOCKED_MS: 30_000,
    RECONCILE_RANGES_MAX: 256,
    RECONCILE_IDS_MAX: 4_096,
    RECONCILE_PLAIN_MAX: 64,
    RECONCILE_SPLIT: 8,
    STREAM_OUTSTANDING_MAX: 16,
    STREAM_IDLE_MS: 30_000,
    STREAM_TIMEOUT_MS: 30_000,
  };

  test.each(Object.entries(NORMATIVE))("%s is %i", (name, value) => {
    expect(new Map<string, unknown>(Object.entries(limits)).get(name)).toBe(value);
  });

  test("channels have the ids and bits of section 7", () => {
    expect(CHANNEL_NAMES.map((name) => [name, CHANNELS[name].id])).toEqual([
      ["control", 0],
      ["signaling/discovery", 1],
      ["signaling/exchange", 2],
      ["best-tip", 3],
      ["transaction", 4],
      ["snark", 5],
      ["snark-job-commitment", 6],
      ["rpc", 7],
      ["streaming-rpc", 8],
    ]);
    expect(CHANNEL_BITS).toBe(0b1_1111_1111);
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
    for (const channel of CHANNEL_NAMES) {
      if (channel === "rpc") continue;
      const { schema, bytesMax } = CHANNELS[channel];
      for (const [name, size] of casesOf(schema as Schema<unknown>)) {
        expect([channel, name, size <= bytesMax]).toEqual([channel, name, true]);
      }
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
    const jobId = hash as Hex as JobId;
    const pools = [
      [transactionSchema, info],
      [snarkSchema, { jobId, hash, fee: 1n, prover: hash }],
      [snarkJobCommitmentSchema, { jobId, fee: 1n, snarker: hash, issuedAt: 1n, signature: hash + hash }],
    ] as const;
    for (const [schema, item] of pools) {
      const messages: readonly PoolMessage[] = [
        { tag: "getNext", limit: limits.INFOS_MAX, window, resume: cursor },
        { tag: "refloor", window },
        { tag: "infos", cursor, seq: 1, rest: priority, items: Array(limits.INFOS_MAX).fill(item) },
      ];
      const sizes = messages.map((message) => [
        message.tag,
        encode(schema as Schema<PoolMessage>, message).length,
      ]);
      expect(sizes).toEqual(casesOf(schema.shape));
    }
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
    const chunk = 1 + 4 + 4 + (4 + limits.CHUNK_BYTES) + (4 + limits.CHUNK_PROOF_MAX * 32);
    expect(chunk).toBeLessThanOrEqual(limits.STREAMING_BYTES_MAX);
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
    [
      "a permit that is given anew comes that much later than the one before, however late that one was",
      limits.EXCHANGE_RENEW_MIN_MS <=
        limits.EXCHANGE_GRACE_MS - limits.PING_AFTER_MS - limits.PONG_TIMEOUT_MS,
    ],
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

    ["the keepalive keeps to the rate of pings", limits.PING_AFTER_MS * limits.PINGS_PER_SECOND >= 1_000],
    [
      "a dead peer is found before the transport finds it",
      limits.PING_AFTER_MS + limits.PONG_TIMEOUT_MS < 30_000,
    ],
    ["what stalls is closed before its pong is missed", limits.STALLED_AFTER_MS < limits.PONG_TIMEOUT_MS],

    ["strikes rest longer than they are counted", limits.STRIKES_REST_MS >= limits.STRIKES_WINDOW_MS],
    ["a ban outlasts strikes", limits.BAN_MS > limits.STRIKES_REST_MS],
    ["a group is shut out less long than a key", limits.GROUP_BAN_MS < limits.BAN_MS],
    [
      "the tables of bans have room for others beside the operator's",
      2 * limits.OPERATOR_BANS_MAX <= Math.min(limits.OFFENDERS_MAX, limits.GROUPS_MAX),
    ],

    [
      "an announcement can be fetched twice before it fails",
      limits.SETTLE_TIMEOUT_MS > 2 * limits.RPC_TIMEOUT_MS,
    ],
    [
      "a message's items can be fetched with the requests one peer may have open",
      limits.RPC_OPEN_MAX * limits.RPC_HASHES_MAX >= limits.INFOS_MAX,
    ],
    ["slots are blocked only after requests timed out", limits.RPC_BLOCKED_MS > limits.RPC_BLOCK_TIMEOUT_MS],
    ["a hedge comes before the request times out", 4 * limits.HEDGE_MS < limits.RPC_TIMEOUT_MS],
    ["what is refused is remembered for more than one message", limits.REFUSED_MAX >= 3 * limits.INFOS_MAX],
    ["a Refloor keeps to its rate", limits.REFLOOR_INTERVAL_MS * limits.REFLOORS_PER_SECOND >= 1_000],
    [
      "a reconciliation is over before what it withholds is missed",
      limits.RECONCILE_TIMEOUT_MS < limits.SETTLE_TIMEOUT_MS,
    ],
    ["the ring holds what one message can evict", limits.RING_MAX >= limits.INFOS_MAX],
    ["a slow source is helped before it times out", limits.STREAM_PATIENCE_MS < limits.STREAM_TIMEOUT_MS],
    ["our own slowness is no timeout for the peer", limits.STREAM_OPEN_TIMEOUT_MS < limits.STREAM_TIMEOUT_MS],
    [
      "a chain of 290 blocks takes a few requests",
      limits.BLOCKS_KEPT_MIN / limits.ANCESTRY_MAX < limits.RPC_OPEN_MAX,
    ],
    [
      "what is fetched block by block is kept by everybody",
      limits.SYNC_HEADERS_MAX <= limits.BLOCKS_KEPT_MIN,
    ],
    ["a snapshot is above the deepest header", limits.SNAPSHOT_DEPTH < limits.SYNC_HEADERS_MAX],
    ["two more are asked before a tip is stalled", 2 * limits.SYNC_HEDGE_MS < limits.SYNC_STALLED_MS],
    ["a tip is stalled before its requests time out", limits.SYNC_STALLED_MS < limits.RPC_TIMEOUT_MS],
    ["sync leaves slots to the pools", limits.SYNC_REQUESTS_PER_PEER_MAX < limits.RPC_OPEN_MAX],
    [
      "a branch that was left and one that is caught up with fit beside the best chain",
      limits.SIDE_BLOCKS_MAX >= 2 * limits.SYNC_HEADERS_MAX,
    ],
    [
      "who asks for a stream again after each failure is always answered",
      1_000 / limits.SYNC_RETRY_MAX_MS < limits.STREAM_REQUESTS_PER_SECOND &&
        limits.STREAM_REQUESTS_BURST >= 2 * Math.log2(limits.SYNC_RETRY_MAX_MS / limits.SYNC_RETRY_MIN_MS),
    ],
    [
      "a peer may ask for as many items as its open requests hold",
      limits.RPC_RATES.transactions.burst >= limits.RPC_OPEN_MAX * limits.RPC_HASHES_MAX,
    ],
  ];

  test.each(RELATIONS)("%s", (_, holds) => {
    expect(holds).toBe(true);
  });

  test("every limit is a positive number", () => {
    const { RPC_RATES, ...numbers } = limits;
    for (const [name, value] of Object.entries(numbers)) {
      expect([name, typeof value === "number" && value > 0]).toEqual([name, true]);
    }
    for (const [name, { burst, perSecond }] of Object.entries(RPC_RATES)) {
      expect([name, burst > 0 && perSecond > 0]).toEqual([name, true]);
    }
  });
});

/** Names of a union's cases with the size of the longest encoding of each. */
function casesOf(union: Schema<unknown> | Shape | undefined): readonly (readonly [string, number])[] {
  const shape = union !== undefined && "shape" in union ? union.shape : union;
  if (shape?.tag !== "union") throw new Error("only a union has cases");
  return shape.cases.map(([name, fields]) => [name, 1 + greatestSize(fields)]);
}
