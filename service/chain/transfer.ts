import type { KeyObject } from "node:crypto";
import { concatBytes, fromHex, type Hex, toHex } from "../../core/bytes.ts";
import type { TransactionInfo } from "../../core/chain.ts";
import { type Decoded, decode, encode } from "../../core/codec/codec.ts";
import { bytes, hex, type Infer, struct, u8, u32, u64 } from "../../core/codec/schema.ts";
import { hash, itemHash } from "../../core/hash.ts";
import type { Hash } from "../../core/ids.ts";
import { ITEM_BYTES_MAX } from "../../core/limits.ts";
import { SIGNATURE_BYTES } from "../../core/signals.ts";
import { rawPublicKey, sign } from "../ed25519.ts";

export const TRANSFER_VERSION = 1;

const unsignedFields = { version: u8, from: hex(32), to: hex(32), amount: u64, fee: u64, nonce: u32 };
const unsignedSchema = struct(unsignedFields);
const transferSchema = struct({ ...unsignedFields, signature: bytes(SIGNATURE_BYTES) });

/** A payment of the embedded chain, as it stands in Borsh. Amount and fee in the chain's smallest unit. */
export type Transfer = Infer<typeof transferSchema>;

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

export const transferInfo = (transfer: Transfer, encoded: Uint8Array): TransactionInfo => ({
  hash: itemHash(encoded) as Hash,
  fee: transfer.fee,
  sender: transfer.from,
  nonce: transfer.nonce,
});
