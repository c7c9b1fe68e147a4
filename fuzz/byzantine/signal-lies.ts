import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, type Hex, toHex, uintBytes } from "../../core/bytes.ts";
import { decode, encode } from "../../core/codec/codec.ts";
import type { Infer } from "../../core/codec/schema.ts";
import { ENVELOPE_BYTES_MAX } from "../../core/limits.ts";
import { REJECTIONS, type Rejection } from "../../core/reasons.ts";
import type { SignalOutcome } from "../../core/services.ts";
import { replySchema, SIGNAL_VERSION, unsignedOfferSchema } from "../../core/signals.ts";
import { signSignal } from "../sim-crypto.ts";
import { describe } from "../sim-sdp.ts";
import type { Liar, SignalBehaviour } from "./behaviour.ts";
import { randomHex } from "./messages.ts";

/** Section 3: offers that lie, posted beside a sound connection, which must not notice. */

type UnsignedOffer = Infer<typeof unsignedOfferSchema>;

const HOST_PORT = 50_000;
const STALE_MS = 61_000;

const offering = (
  name: string,
  endsIn: Rejection,
  changed: (liar: Liar, to: number) => Partial<UnsignedOffer>,
  posts = 1,
): SignalBehaviour => ({
  place: "signal",
  name,
  breaks: "3",
  endsIn,
  post: (liar, to) => {
    const envelope = sealed(liar, to, changed(liar, to));
    // A replay is the same envelope again, after the first one was answered.
    const postNext = (left: number): void => {
      if (left === 0) return;
      const { peerId: _peerId, ...address } = liar.cluster.addressOf(to);
      liar.cluster.web.post(liar.node().address, address, envelope, (outcome) => {
        const rejection = rejectionOf(liar, outcome);
        if (rejection !== null) liar.noteRejection(rejection);
        postNext(left - 1);
      });
    };
    postNext(posts);
  },
});

function sealed(
  { cluster, identity, random, node }: Liar,
  to: number,
  changes: Partial<UnsignedOffer>,
): Uint8Array {
  const recipient = cluster.identity(to).publicKey;
  const ufrag = `liar${random.int(2 ** 32)}`;
  const fingerprint = toHex(sha256(ascii(ufrag)));
  const unsigned = encode(unsignedOfferSchema, {
    version: SIGNAL_VERSION,
    chainId: node().state.config.chainId,
    from: identity.publicKey,
    to: recipient,
    nonce: toHex(uintBytes(random.int(2 ** 32), 16)),
    issuedAt: BigInt(cluster.clock.nowMs),
    sdp: describe({ ufrag, fingerprint, answers: null }, node().address, HOST_PORT),
    listen: null,
    ...changes,
  });
  const signed = signSignal(cluster.vault, identity, "pollen/offer/1", unsigned);
  return cluster.vault.seal("offer", recipient, signed);
}

/** Why the offer was refused, if the answer can be read: it is sealed to whom the offer said that it was from. */
function rejectionOf({ cluster }: Liar, outcome: SignalOutcome): Rejection | null {
  if (outcome.tag !== "envelope") return null;
  for (const { index } of cluster.nodes) {
    const plaintext = cluster.vault.open("answer", cluster.identity(index), outcome.envelope);
    if (plaintext === null) continue;
    const decoded = decode(replySchema, plaintext, ENVELOPE_BYTES_MAX);
    if (decoded.tag === "decoded" && decoded.value.tag === "rejected")
      return REJECTIONS[decoded.value.reason] ?? null;
  }
  return null;
}

const keyOf = ({ cluster }: Liar, index: number): Hex => cluster.identity(index).publicKey;

const other = ({ cluster, index }: Liar, to: number): number =>
  cluster.nodes.find((node) => node.isAlive() && node.index !== to)?.index ?? index;

export const SIGNAL_LIES: readonly SignalBehaviour[] = [
  offering("an offer for another chain", "chainMismatch", () => ({ chainId: "dd".repeat(32) })),
  offering("an offer that is for somebody else", "notForMe", (liar, to) => ({
    to: keyOf(liar, other(liar, to)),
  })),
  offering("an offer in the name of its receiver", "selfDial", (liar, to) => ({ from: keyOf(liar, to) })),
  offering("an offer in the name of another", "badSignature", (liar, to) => ({
    from: keyOf(liar, other(liar, to)),
  })),
  offering("an offer of long ago", "stale", ({ cluster }) => ({
    issuedAt: BigInt(cluster.clock.nowMs - STALE_MS),
  })),
  offering(
    "an offer that was made before",
    "replayed",
    ({ random }) => ({ nonce: randomHex(random).slice(0, 32) }),
    3,
  ),
  offering("an offer beside a connection that answers", "alreadyConnected", () => ({})),
  offering("an offer without a fingerprint", "badSdp", () => ({ sdp: "v=0\r\n" })),
];
