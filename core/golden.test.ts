import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { blockHash, bodyRoot, commitmentDigest, headerDigest, tipOf } from "./block.ts";
import type { Hex } from "./bytes.ts";
import { CHANNELS } from "./channels/table.ts";
import { decode, encode } from "./codec/codec.ts";
import { byte, join, u32, u64, type Vector } from "./golden/bytes.ts";
import {
  BEST_TIP,
  COMMITMENT,
  CONTROL,
  DISCOVERY,
  EXCHANGE,
  SNARK,
  STREAMING,
  TRANSACTION,
} from "./golden/channels.ts";
import { REQUESTS, RESPONSES } from "./golden/rpc.ts";
import { answer, offer, rejected, SIGNALS, signedAnswer, signedOffer } from "./golden/signals.ts";
import { body, commitment, commitmentBytes, header, headerBytes } from "./golden/structs.ts";
import { hash, itemHash } from "./hash.ts";
import { MESSAGE_BYTES_MAX } from "./limits.ts";
import { commitmentHash } from "./pools.ts";
import { offerHash, sessionOf, signalDigest } from "./signals.ts";

interface GoldenHash {
  readonly name: string;
  readonly description: string;
  readonly expected: Uint8Array;
  readonly ours: () => Hex;
}

/** New ones at the end: golden.json is only ever added to. */
const VECTORS = [
  ...CONTROL,
  ...TRANSACTION,
  ...REQUESTS,
  ...RESPONSES,
  ...SIGNALS,
  ...SNARK,
  ...COMMITMENT,
  ...BEST_TIP,
  ...STREAMING,
  ...DISCOVERY,
  ...EXCHANGE,
];

const HASHES: readonly GoldenHash[] = [
  {
    name: "hash/label",
    description: 'H("label"): SHA-256 of the ASCII label and one zero byte',
    expected: sha256(text0("label")),
    ours: () => hexOf(hash("label")),
  },
  {
    name: "hash/label-and-parts",
    description: 'H("label", 01 02 03, 04): the parts follow raw',
    expected: sha256(text0("label"), Uint8Array.of(1, 2, 3, 4)),
    ours: () => hexOf(hash("label", Uint8Array.of(1, 2, 3), Uint8Array.of(4))),
  },
  ...[0, 1, 60_000, 60_001, 150_000, 180_001].map((size) => ({
    name: `hash/item-${size}`,
    description: `Hash of an item of ${size} bytes, byte i = i mod 251`,
    expected: itemRoot(size),
    ours: () => itemHash(pattern(size)),
  })),
  {
    name: "hash/offer-digest",
    description: "What the signature of signal/offer is over",
    expected: sha256(text0("pollen/offer/1"), offer.unsigned),
    ours: () => hexOf(signalDigest("pollen/offer/1", signedOffer)),
  },
  {
    name: "hash/answer-digest",
    description: "What the signature of signal/reply-answer is over, which the Reply tag is no part of",
    expected: sha256(text0("pollen/answer/1"), answer.unsigned),
    ours: () => hexOf(signalDigest("pollen/answer/1", signedAnswer)),
  },
  {
    name: "hash/reject-digest",
    description: "What the signature of signal/reply-rejected is over, which the Reply tag is no part of",
    expected: sha256(text0("pollen/reject/1"), rejected.unsigned),
    ours: () => hexOf(signalDigest("pollen/reject/1", join(rejected.unsigned, rejected.signature))),
  },
  {
    name: "hash/offer",
    description: "offerHash of signal/offer",
    expected: sha256(signedOffer),
    ours: () => offerHash(signedOffer),
  },
  {
    name: "hash/session",
    description: "session of signal/offer and signal/reply-answer without its Reply tag",
    expected: sha256(text0("pollen/session/1"), sha256(signedOffer), sha256(signedAnswer)),
    ours: () => sessionOf(hexOf(sha256(signedOffer)), signedAnswer),
  },
  {
    name: "hash/block",
    description: "Block hash: of the header of best-tip/bestTip",
    expected: sha256(text0("pollen/block/1"), headerBytes),
    ours: () => blockHash(header.value),
  },
  {
    name: "hash/header-digest",
    description: "What the signature of that header is over",
    expected: sha256(text0("pollen/header/1"), header.unsigned),
    ours: () => hexOf(headerDigest(header.value)),
  },
  {
    name: "hash/body",
    description: "bodyRoot of the body of rpc/response-block",
    expected: sha256(text0("pollen/body/1"), body.bytes),
    ours: () => bodyRoot(body.value),
  },
  {
    name: "hash/body-empty",
    description: "bodyRoot of a body without transactions and snarks",
    expected: sha256(text0("pollen/body/1"), u32(0), u32(0)),
    ours: () => bodyRoot({ transactions: [], snarks: [] }),
  },
  {
    name: "hash/commitment-digest",
    description: "What the signature of the commitment of snark-job-commitment/infos is over",
    expected: sha256(text0("pollen/commitment/1"), commitment.unsigned),
    ours: () => hexOf(commitmentDigest(commitment.value)),
  },
  {
    name: "hash/commitment",
    description: "The hash of that commitment: SHA-256 of its borsh, without a label",
    expected: sha256(commitmentBytes),
    ours: () => commitmentHash(commitment.value),
  },
];

describe("golden vectors", () => {
  test("golden.json holds exactly the vectors of this file", () => {
    const golden: unknown = JSON.parse(readFileSync(new URL("./golden.json", import.meta.url), "utf8"));
    expect(golden).toEqual({
      messages: VECTORS.map(({ name, description, bytes }) => ({ name, description, hex: hexOf(bytes) })),
      hashes: HASHES.map(({ name, description, expected }) => ({ name, description, hex: hexOf(expected) })),
    });
  });

  test.each(VECTORS)("$name", ({ schema, value, bytes }) => {
    expect(hexOf(encode(schema, value))).toBe(hexOf(bytes));
    expect(decode(schema, bytes, MESSAGE_BYTES_MAX)).toEqual({ tag: "decoded", value });
  });

  test.each(HASHES)("$name", ({ ours, expected }) => {
    expect(ours()).toBe(hexOf(expected));
  });
  test("a tip is its header and its hash", () => {
    expect(tipOf(header.value)).toEqual({
      ...header.value,
      hash: hexOf(sha256(text0("pollen/block/1"), headerBytes)),
    });
  });

  test("every case of every union has a vector", () => {
    const OF: { readonly [Name in keyof typeof CHANNELS]: readonly Vector[] } = {
      control: CONTROL,
      "signaling/discovery": DISCOVERY,
      "signaling/exchange": EXCHANGE,
      "best-tip": BEST_TIP,
      transaction: TRANSACTION,
      snark: SNARK,
      "snark-job-commitment": COMMITMENT,
      rpc: [...REQUESTS, ...RESPONSES],
      "streaming-rpc": STREAMING,
    };
    for (const [name, { schema }] of Object.entries(CHANNELS)) {
      const cases = schema.shape.tag === "union" ? schema.shape.cases.length : 0;
      const vectors = OF[name as keyof typeof CHANNELS];
      expect([name, new Set(vectors.map(({ bytes }) => bytes[0])).size]).toEqual([name, cases]);
      expect(vectors.every((one) => one.schema === schema)).toBe(true);
    }
    expect(REQUESTS.map(({ bytes }) => bytes[5])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(RESPONSES.map(({ bytes }) => bytes[5])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8]);
  });
});

/** ASCII text and one zero byte. */
function text0(content: string): Uint8Array {
  return join(Buffer.from(content, "ascii"), byte(0));
}

function hexOf(bytes: Uint8Array): Hex {
  return Buffer.from(bytes).toString("hex");
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return createHash("sha256")
    .update(join(...parts))
    .digest();
}

function pattern(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => index % 251);
}

/** Section 7.8 spelled out for up to four chunks: leaves, pairs, the odd one carried up. */
function itemRoot(size: number): Uint8Array {
  const data = pattern(size);
  const leaf = (index: number): Uint8Array =>
    sha256(text0("pollen/chunk/1"), u32(index), data.slice(60_000 * index, 60_000 * (index + 1)));
  const node = (left: Uint8Array, right: Uint8Array): Uint8Array =>
    sha256(text0("pollen/node/1"), left, right);
  const roots: Readonly<Record<number, () => Uint8Array>> = {
    1: () => leaf(0),
    2: () => node(leaf(0), leaf(1)),
    3: () => node(node(leaf(0), leaf(1)), leaf(2)),
    4: () => node(node(leaf(0), leaf(1)), node(leaf(2), leaf(3))),
  };
  const root = roots[Math.max(1, Math.ceil(size / 60_000))];
  if (root === undefined) throw new Error(`no tree is written down for ${size} bytes`);
  return sha256(text0("pollen/stream/1"), u64(BigInt(size)), root());
}
