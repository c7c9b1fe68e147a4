import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AssertionError } from "./assert.ts";
import { concatBytes, toHex } from "./bytes.ts";
import { decode, encode } from "./codec/codec.ts";
import type { Infer, Schema } from "./codec/schema.ts";
import { arbitraryOf } from "./codec/testing.ts";
import { ENVELOPE_BYTES_MAX, SDP_BYTES_MAX } from "./limits.ts";
import { REJECTIONS } from "./reasons.ts";
import {
  envelopeSchema,
  type Offer,
  offerHash,
  offerSchema,
  REPLY_TAGS,
  type Reply,
  replySchema,
  SIGNATURE_BYTES,
  sessionOf,
  signalDigest,
  unsignedAnswerSchema,
  unsignedOfferSchema,
  unsignedRejectedSchema,
} from "./signals.ts";

const LABELS = ["pollen/offer/1", "pollen/answer/1", "pollen/reject/1"] as const;
const offers = arbitraryOf(offerSchema.shape) as fc.Arbitrary<Offer>;
const replies = arbitraryOf(replySchema.shape, {
  "rejected.reason": fc.nat({ max: REJECTIONS.length - 1 }),
}) as fc.Arbitrary<Reply>;

function sha256(...parts: readonly (Uint8Array | string)[]): Buffer {
  const state = createHash("sha256");
  for (const part of parts) state.update(part);
  return state.digest();
}

/** The encoding of the same fields without the signature, by the schema that is signed. */
function unsignedReply(reply: Reply): Uint8Array {
  const { tag, signature: _, ...fields } = reply;
  return tag === "answer"
    ? encode(unsignedAnswerSchema, fields as Infer<typeof unsignedAnswerSchema>)
    : encode(unsignedRejectedSchema, fields as Infer<typeof unsignedRejectedSchema>);
}

describe("signals: what is signed", () => {
  test("the signature is the end of an offer, and everything before it is the offer without it", () => {
    fc.assert(
      fc.property(offers, (offer) => {
        const { signature, ...unsigned } = offer;
        const expected = concatBytes(encode(unsignedOfferSchema, unsigned), signature);
        expect(toHex(encode(offerSchema, offer))).toBe(toHex(expected));
      }),
      { numRuns: 30 },
    );
  });

  test("a reply is its tag, the struct without its signature, and the signature", () => {
    fc.assert(
      fc.property(replies, (reply) => {
        const expected = concatBytes(REPLY_TAGS[reply.tag], unsignedReply(reply), reply.signature);
        expect(toHex(encode(replySchema, reply))).toBe(toHex(expected));
      }),
      { numRuns: 30 },
    );
  });

  test.each(LABELS)("the digest of %s is over the label, a zero byte and all but the signature", (label) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: SIGNATURE_BYTES, maxLength: 300 }), (signed) => {
        const expected = sha256(label, Uint8Array.of(0), signed.subarray(0, signed.length - 64));
        expect(toHex(signalDigest(label, signed))).toBe(expected.toString("hex"));
      }),
    );
  });

  test("the digest changes with the label and any byte before the signature, and with no byte of it", () => {
    const signed = new Uint8Array(200).fill(5);
    const before = toHex(signalDigest("pollen/offer/1", signed));
    expect(toHex(signalDigest("pollen/answer/1", signed))).not.toBe(before);
    for (let at = 0; at < signed.length; at++) {
      const changed = signed.slice();
      changed[at] = 6;
      expect(toHex(signalDigest("pollen/offer/1", changed)) === before).toBe(at >= 200 - 64);
    }
  });
});

describe("signals: what binds a connection to its offer and answer", () => {
  const bytes = fc.uint8Array({ minLength: 64, maxLength: 200 });

  test("an offer's hash is SHA-256 of all of it", () => {
    fc.assert(
      fc.property(bytes, (signed) => {
        expect(offerHash(signed)).toBe(sha256(signed).toString("hex"));
      }),
    );
  });

  test("the session is over the offer's hash and the answer's hash", () => {
    fc.assert(
      fc.property(bytes, bytes, (offer, answer) => {
        const expected = sha256("pollen/session/1\0", sha256(offer), sha256(answer)).toString("hex");
        expect(sessionOf(offerHash(offer), answer)).toBe(expected);
      }),
    );
  });

  test("the session is another one if the Reply tag is hashed too, or offer and answer are exchanged", () => {
    const [offer, answer] = [new Uint8Array(70).fill(1), new Uint8Array(70).fill(2)];
    const session = sessionOf(offerHash(offer), answer);
    expect(sessionOf(offerHash(offer), concatBytes(REPLY_TAGS.answer, answer))).not.toBe(session);
    expect(sessionOf(offerHash(answer), offer)).not.toBe(session);
  });
});

describe("signals: bounds", () => {
  const template = <T>(schema: Schema<T>): T =>
    fc.sample(arbitraryOf(schema.shape), { numRuns: 1, seed: 9 })[0] as T;

  test("reasons of a Rejected are those of the list", () => {
    const rejected = fc.sample(
      replies.filter(({ tag }) => tag === "rejected"),
      { numRuns: 1, seed: 9 },
    )[0] as Reply & { readonly tag: "rejected" };
    const last = encode(replySchema, { ...rejected, reason: 11 });
    const beyond = last.slice();
    // The last fields are reason u8, retryAfterMs u32 and the signature.
    beyond[beyond.length - 64 - 4 - 1] = 12;
    expect(decode(replySchema, last, ENVELOPE_BYTES_MAX)).toMatchObject({
      tag: "decoded",
      value: { reason: 11 },
    });
    expect(decode(replySchema, beyond, ENVELOPE_BYTES_MAX)).toMatchObject({
      detail: "reason: reason 12 is unknown",
    });
    expect(() => encode(replySchema, { ...rejected, reason: 12 })).toThrow(AssertionError);
  });

  test("an SDP of 8192 bytes is the longest", () => {
    const offer = { ...template(offerSchema), sdp: "x".repeat(SDP_BYTES_MAX) };
    expect(SDP_BYTES_MAX).toBe(8_192);
    expect(decode(offerSchema, encode(offerSchema, offer), ENVELOPE_BYTES_MAX).tag).toBe("decoded");
    expect(() => encode(offerSchema, { ...offer, sdp: `${offer.sdp}x` })).toThrow(AssertionError);
  });

  test("a listen address of 256 bytes is the longest", () => {
    const offer = { ...template(offerSchema), listen: "x".repeat(256) };
    expect(decode(offerSchema, encode(offerSchema, offer), ENVELOPE_BYTES_MAX).tag).toBe("decoded");
    expect(() => encode(offerSchema, { ...offer, listen: `${offer.listen}x` })).toThrow(AssertionError);
  });

  test("the longest envelope is exactly 16 KiB", () => {
    const envelope = { ...template(envelopeSchema), ciphertext: new Uint8Array(16_336) };
    expect(encode(envelopeSchema, envelope)).toHaveLength(16_384);
    const longer = { ...envelope, ciphertext: new Uint8Array(16_337) };
    expect(() => encode(envelopeSchema, longer)).toThrow(AssertionError);
  });
});
