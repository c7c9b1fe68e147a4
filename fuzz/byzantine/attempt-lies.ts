import type { Hex } from "../../core/bytes.ts";
import { decode, encode } from "../../core/codec/codec.ts";
import type { Infer } from "../../core/codec/schema.ts";
import { ENVELOPE_BYTES_MAX, SIGNAL_AGE_MAX_MS } from "../../core/limits.ts";
import { unsignedAnswerSchema, unsignedOfferSchema } from "../../core/signals.ts";
import { signSignal } from "../sim-crypto.ts";
import { type Identity, identityOf } from "../sim-identity.ts";
import type { AttemptBehaviour, Liar } from "./behaviour.ts";
import { randomHex } from "./messages.ts";

/** Section 3: what a liar signs for an attempt of its own. All else about the attempt is sound, and its transport works. */

type UnsignedAnswer = Infer<typeof unsignedAnswerSchema>;

interface Forgery {
  readonly changes?: Partial<UnsignedAnswer>;
  readonly signer?: Identity;
}

/** A reply to an honest node that dials. */
const replying = (name: string, make: (liar: Liar, sound: UnsignedAnswer) => Forgery): AttemptBehaviour => ({
  place: "attempt",
  name,
  breaks: "3",
  endsIn: null,
  label: "pollen/answer/1",
  forge: (liar, unsigned) => {
    const decoded = decode(unsignedAnswerSchema, unsigned, ENVELOPE_BYTES_MAX);
    if (decoded.tag === "failed") throw new Error("a production node makes sound answers");
    const { changes = {}, signer = liar.identity } = make(liar, decoded.value);
    const forged = encode(unsignedAnswerSchema, { ...decoded.value, ...changes });
    return signSignal(liar.cluster.vault, signer, "pollen/answer/1", forged);
  },
});

/** Of a certificate that nobody has. */
const withOtherFingerprint = (sdp: string, { random }: Liar): string => {
  const digest = (randomHex(random).toUpperCase().match(/../g) ?? []).join(":");
  return sdp.replace(/(a=fingerprint:sha-256 )[0-9A-F:]+/, `$1${digest}`);
};

/** Another key that the liar may sign with. */
function otherKey({ cluster, identity }: Liar, dialer: Hex): Identity {
  const all = cluster.nodes.map(({ index }) => cluster.identity(index));
  return all.find(({ publicKey }) => publicKey !== identity.publicKey && publicKey !== dialer) ?? identity;
}

export const ATTEMPT_LIES: readonly AttemptBehaviour[] = [
  replying("a reply with a bad signature", () => ({ signer: identityOf("forger") })),
  replying("a reply of another key", (liar, { to }) => {
    const signer = otherKey(liar, to);
    return { changes: { from: signer.publicKey }, signer };
  }),
  replying("a reply that is for another", (liar, { to }) => ({
    changes: { to: otherKey(liar, to).publicKey },
  })),
  replying("a reply to another attempt", ({ random }) => ({
    changes: { nonce: randomHex(random).slice(0, 32), offerHash: randomHex(random) },
  })),
  replying("a reply to another offer of this attempt", ({ random }) => ({
    changes: { offerHash: randomHex(random) },
  })),
  replying("a reply of long ago", ({ cluster }) => ({
    changes: { issuedAt: BigInt(cluster.clock.nowMs - SIGNAL_AGE_MAX_MS - 1_000) },
  })),
  replying("a reply of a version to come", () => ({ changes: { version: 2 } })),
  replying("a reply for another certificate", (liar, { sdp }) => ({
    changes: { sdp: withOtherFingerprint(sdp, liar) },
  })),
  {
    place: "attempt",
    name: "an offer for another certificate",
    breaks: "3",
    endsIn: null,
    label: "pollen/offer/1",
    forge: (liar, unsigned) => {
      const decoded = decode(unsignedOfferSchema, unsigned, ENVELOPE_BYTES_MAX);
      if (decoded.tag === "failed") throw new Error("a production node makes sound offers");
      const sdp = withOtherFingerprint(decoded.value.sdp, liar);
      const forged = encode(unsignedOfferSchema, { ...decoded.value, sdp });
      return signSignal(liar.cluster.vault, liar.identity, "pollen/offer/1", forged);
    },
  },
];
