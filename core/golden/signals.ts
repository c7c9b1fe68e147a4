import { envelopeSchema, type Offer, offerSchema, type Reply, replySchema } from "../signals.ts";
import { byte, hexRun, join, NONE, run, SOME, text, u32, u64, type Vector, vector } from "./bytes.ts";

// Section 3.

export const offer = {
  value: {
    version: 1,
    chainId: hexRun(0x10, 32),
    from: hexRun(0x11, 32),
    to: hexRun(0x12, 32),
    nonce: hexRun(0x13, 16),
    issuedAt: 1_700_000_000_001n,
    sdp: "v=0\r\n",
    listen: "/dns4/seed.example/tcp/443/https",
    signature: run(0x14, 64),
  } satisfies Offer,
  unsigned: join(
    byte(1),
    run(0x10, 32),
    run(0x11, 32),
    run(0x12, 32),
    run(0x13, 16),
    u64(1_700_000_000_001n),
    text("v=0\r\n"),
    SOME,
    text("/dns4/seed.example/tcp/443/https"),
  ),
  signature: run(0x14, 64),
};
export const signedOffer = join(offer.unsigned, offer.signature);

export const answer = {
  value: {
    tag: "answer",
    version: 1,
    from: hexRun(0x20, 32),
    to: hexRun(0x21, 32),
    nonce: hexRun(0x22, 16),
    offerHash: hexRun(0x23, 32),
    issuedAt: 1_700_000_000_002n,
    sdp: "v=0\r\na=\u00e9\r\n",
    signature: run(0x24, 64),
  } satisfies Reply,
  unsigned: join(
    byte(1),
    run(0x20, 32),
    run(0x21, 32),
    run(0x22, 16),
    run(0x23, 32),
    u64(1_700_000_000_002n),
    text("v=0\r\na=\u00e9\r\n"),
  ),
  signature: run(0x24, 64),
};
export const signedAnswer = join(answer.unsigned, answer.signature);

export const rejected = {
  value: {
    tag: "rejected",
    version: 1,
    from: hexRun(0x30, 32),
    to: hexRun(0x31, 32),
    nonce: hexRun(0x32, 16),
    offerHash: hexRun(0x33, 32),
    issuedAt: 1_700_000_000_003n,
    reason: 8,
    retryAfterMs: 1_500,
    signature: run(0x34, 64),
  } satisfies Reply,
  unsigned: join(
    byte(1),
    run(0x30, 32),
    run(0x31, 32),
    run(0x32, 16),
    run(0x33, 32),
    u64(1_700_000_000_003n),
    byte(8),
    u32(1_500),
  ),
  signature: run(0x34, 64),
};

export const SIGNALS: readonly Vector[] = [
  vector("signal/offer", "Offer with a listen address", offerSchema, offer.value, signedOffer),
  vector(
    "signal/offer-without-listen",
    "Offer without a listen address",
    offerSchema,
    { ...offer.value, listen: null },
    join(byte(1), run(0x10, 32), run(0x11, 32), run(0x12, 32), run(0x13, 16), u64(1_700_000_000_001n)),
    join(text("v=0\r\n"), NONE, offer.signature),
  ),
  vector("signal/reply-answer", "Reply 0: Answer", replySchema, answer.value, byte(0), signedAnswer),
  vector(
    "signal/reply-rejected",
    "Reply 1: Rejected with reason 8 (rateLimited), retry after 1.5 s",
    replySchema,
    rejected.value,
    byte(1),
    join(rejected.unsigned, rejected.signature),
  ),
  vector(
    "signal/envelope",
    "Envelope with a ciphertext of 20 bytes",
    envelopeSchema,
    { ephemeral: run(0xb0, 32), nonce: run(0xb1, 12), ciphertext: run(0xb2, 20) },
    join(run(0xb0, 32), run(0xb1, 12), u32(20), run(0xb2, 20)),
  ),
];
