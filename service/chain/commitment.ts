import type { KeyObject } from "node:crypto";
import {
  type Commitment,
  commitmentDigest,
  commitmentSchema,
  type UnsignedCommitment,
} from "../../core/block.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import { decode } from "../../core/codec/codec.ts";
import { COMMITMENT_AGE_MAX_MS, ITEM_BYTES_MAX } from "../../core/limits.ts";
import { sign, verifySignature } from "../ed25519.ts";
import { type Checked, invalid, sound } from "./verdicts.ts";

/** How far the clocks of honest nodes may differ. */
const COMMITMENT_AHEAD_MAX_MS = 60_000;

/** Everything that the bytes alone prove (7.6). Never rejects. */
export async function checkCommitment(bytes: Uint8Array): Promise<Checked<Commitment>> {
  const decoded = decode(commitmentSchema, bytes, ITEM_BYTES_MAX);
  if (decoded.tag === "failed") return invalid(`not a commitment: ${decoded.detail}`);
  const { snarker, signature } = decoded.value;
  // It covers no chain: the job does.
  const isSigned = await verifySignature(snarker, commitmentDigest(decoded.value), fromHex(signature));
  return isSigned ? sound(decoded.value) : invalid("the signature is not the snarker's");
}

/** @returns what the clock has against it, or null */
export function untimely({ issuedAt }: Commitment, nowMs: number): string | null {
  const ageMs = nowMs - Number(issuedAt);
  if (ageMs > COMMITMENT_AGE_MAX_MS) return "it was issued too long ago";
  if (-ageMs > COMMITMENT_AHEAD_MAX_MS) return "it was issued in the future";
  return null;
}

export async function signCommitment(key: KeyObject, unsigned: UnsignedCommitment): Promise<Commitment> {
  return { ...unsigned, signature: toHex(await sign(key, commitmentDigest(unsigned))) };
}
