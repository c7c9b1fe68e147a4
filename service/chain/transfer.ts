import type { KeyObject } from "node:crypto";
import { concatBytes, fromHex, type Hex, toHex } from "../../core/bytes.ts";
import type { TransactionInfo } from "../../core/chain.ts";
import { type Decoded, decode, encode } from "../../core/codec/codec.ts";
import { bytes, hex, type Infer, struct, u8, u32, u64 } from "../../core/codec/schema.ts";
import { hash } from "../../core/hash.ts";
import type { Hash } from "../../core/ids.ts";
import { ITEM_BYTES_MAX } from "../../core/limits.ts";
import type { ItemBytes } from "../../core/services.ts";
import { SIGNATURE_BYTES } from "../../core/signals.ts";
import { isCanonicalOfLargeOrder, rawPublicKey, sign, verifySignature } from "../ed25519.ts";
import { type Checked, invalid, sound } from "./verdicts.ts";

export const TRANSFER_VERSION = 1;

const unsignedFields = { version: u8, from: hex(32), to: hex(32), amount: u64, fee: u64, nonce: u32 };
const unsignedSchema = struct(unsignedFields);
const transferSchema = struct({ ...unsignedFields, signature: bytes(SIGNATURE_BYTES) });

/** A payment of the embedded chain, as it stands in Borsh. Amount and fee in the chain's smallest unit. */
export type Transfer = Infer<typeof transferSchema>;

/** What a transfer says, once its signature was checked. Holds no bytes, and so keeps no message alive. */
export interface Payment {
  readonly hash: Hash;
  readonly from: Hex;
  readonly to: Hex;
  readonly amount: bigint;
  readonly fee: bigint;
  readonly nonce: number;
}

export const decodeTransfer = (encoded: Uint8Array): Decoded<Transfer> =>
  decode(transferSchema, encoded, ITEM_BYTES_MAX);

/** What the sender signs: the chain is part of it, so that a transfer means nothing on another one. */
export const transferDigest = (chainId: Hex, encoded: Uint8Array): Uint8Array =>
  hash("pollen/transfer/1", fromHex(chainId), encoded.subarray(0, encoded.length - SIGNATURE_BYTES));

/** Signs a payment from the account of `secretKey`. @returns the bytes that are submitted */
export async function signTransfer(
  secretKey: KeyObject,
  chainId: Hex,
  payment: { readonly to: Hex; readonly amount: bigint; readonly fee: bigint; readonly nonce: number },
): Promise<Uint8Array> {
  const from = toHex(rawPublicKey(secretKey));
  const unsigned = encode(unsignedSchema, { version: TRANSFER_VERSION, from, ...payment });
  const digest = transferDigest(chainId, concatBytes(unsigned, new Uint8Array(SIGNATURE_BYTES)));
  return concatBytes(unsigned, await sign(secretKey, digest));
}

/** Everything that the bytes alone prove; the signature is checked in the thread pool. Never rejects. */
export async function checkTransfer(chainId: Hex, { hash, bytes }: ItemBytes): Promise<Checked<Payment>> {
  const decoded = decodeTransfer(bytes);
  if (decoded.tag === "failed") return invalid(`not a transfer: ${decoded.detail}`);
  const { signature, version, ...payment } = decoded.value;
  const fault = malformation(decoded.value);
  if (fault !== null) return invalid(fault);
  if (!(await verifySignature(payment.from, transferDigest(chainId, bytes), signature))) {
    return invalid("the signature is not the sender's for this chain");
  }
  return sound({ hash, ...payment });
}

export const transactionInfo = ({ hash, fee, from, nonce }: Payment): TransactionInfo => ({
  hash,
  fee,
  sender: from,
  nonce,
});

function malformation({ version, from, to }: Transfer): string | null {
  if (version !== TRANSFER_VERSION) return `version ${version} is not ${TRANSFER_VERSION}`;
  if (!isCanonicalOfLargeOrder(fromHex(from))) return "the sender is not an ed25519 key";
  if (!isCanonicalOfLargeOrder(fromHex(to))) return "the recipient is not an ed25519 key";
  return null;
}
