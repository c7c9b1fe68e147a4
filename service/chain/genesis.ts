import { createHash, type KeyObject } from "node:crypto";
import { fromHex, type Hex, toHex, uintBytes } from "../../core/bytes.ts";
import { hash } from "../../core/hash.ts";
import { rawPublicKey, secretKeyOf } from "../ed25519.ts";

export interface Account {
  readonly balance: bigint;
  /** The last nonce that was applied. */
  readonly nonce: number;
}

export interface Genesis {
  readonly chainId: Hex;
  readonly accounts: ReadonlyMap<Hex, Account>;
}

/** Accounts that the genesis block funds and whose keys everybody can compute: for tests and demonstrations only. */
export const TEST_ACCOUNTS = 64;
const TEST_BALANCE = 1_000_000_000_000n;

/** The secret key of test account 0 to TEST_ACCOUNTS - 1: the seed is SHA-256("pollen test account <n>"). */
export const testAccountKey = (index: number): KeyObject =>
  secretKeyOf("ed25519", createHash("sha256").update(`pollen test account ${index}`).digest());

/** Consensus parameters that the id of the chain covers (section 2). */
const PARAMETERS = {
  slotsPerEpoch: 7_140,
  gracePeriodEnd: 1_440,
  slotsPerSubWindow: 7,
  subWindows: 11,
} as const;

/** The chain every node has without further configuration. Its id covers the parameters and all accounts. */
export function testGenesis(): Genesis {
  const keys = Array.from({ length: TEST_ACCOUNTS }, (_, index) =>
    toHex(rawPublicKey(testAccountKey(index))),
  );
  const parameters = Object.values(PARAMETERS).map((value) => uintBytes(value, 4));
  const balances = keys.flatMap((key) => [fromHex(key), uintBytes(TEST_BALANCE, 8)]);
  return {
    chainId: toHex(hash("pollen/genesis/1", ...parameters, ...balances)),
    accounts: new Map(keys.map((key) => [key, { balance: TEST_BALANCE, nonce: 0 }])),
  };
}
