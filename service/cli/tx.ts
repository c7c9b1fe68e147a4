import { Command, InvalidArgumentError } from "commander";
import { type Hex, isHex, toHex } from "../../core/bytes.ts";
import { isPublicKey } from "../../core/identity.ts";
import { type AdminClient, AdminError } from "../admin-client.ts";
import { TEST_ACCOUNTS, testAccountKey } from "../chain/genesis.ts";
import { signTransfer } from "../chain/transfer.ts";
import { KEY_BYTES, rawPublicKey } from "../ed25519.ts";
import { withAdmin } from "./with-admin.ts";

interface Flags {
  readonly admin: string;
  readonly fee?: bigint;
  readonly amount?: bigint;
  readonly to?: Hex;
  readonly count: number;
  readonly from: number;
  readonly json?: true;
}

/** In the smallest unit. Commander prints defaults as JSON, which has no bigint: so they stand here. */
const FEE_DEFAULT = 100n;
const AMOUNT_DEFAULT = 1n;
/** For more, use a devnet. */
const COUNT_MAX = 100_000;
/** Somebody else who sends from the same account takes nonces: try the next one this often. */
const CONFLICT_RETRIES = 5;
const HTTP_CONFLICT = 409;

export const txCommand = (): Command =>
  new Command("tx").description("send transactions").addCommand(
    new Command("send")
      .description("sign payments with a well-known test account and submit them to a node")
      .requiredOption("--admin <url>", "operator API of the node")
      .option("--fee <n>", `fee of each payment, in the smallest unit (default: ${FEE_DEFAULT})`, parseAmount)
      .option(
        "--amount <n>",
        `amount of each payment, in the smallest unit (default: ${AMOUNT_DEFAULT})`,
        parseAmount,
      )
      .option(
        "--to <key>",
        "public key that is paid, or number of a test account (default: the one after --from)",
        parseKey,
      )
      .option("--count <n>", "number of payments, with consecutive nonces", parseCount, 1)
      .option("--from <n>", `test account that pays, 0 to ${TEST_ACCOUNTS - 1}`, parseAccount, 0)
      .option("--json", "print each result as a line of JSON")
      .addHelpText("after", EXAMPLES)
      .action(run),
  );

const EXAMPLES = `
Examples:
  $ pollen tx send --admin http://127.0.0.1:7380
  $ pollen tx send --admin http://127.0.0.1:7380 --from 3 --to 4 --amount 1000 --fee 500 --count 10`;

async function run({ json, admin, from, count, ...given }: Flags): Promise<void> {
  const { to = testAccount(from + 1), fee = FEE_DEFAULT, amount = AMOUNT_DEFAULT } = given;
  const payments = { to, fee, amount, from, count };
  const print = (sent: Sent): void => {
    process.stdout.write(json ? `${JSON.stringify(sent)}\n` : `${sent.hash} nonce ${sent.nonce}\n`);
  };
  await withAdmin(admin, (client) => sendPayments(client, payments, print));
}

export interface Payments {
  readonly fee: bigint;
  readonly amount: bigint;
  readonly to: Hex;
  readonly count: number;
  /** Number of the test account that pays. */
  readonly from: number;
}

export interface Sent {
  readonly hash: string;
  readonly nonce: number;
}

/**
 * Submits payments one after the other. Whoever else sends from the same account may take a nonce in between.
 * @throws AdminError with the reason of the node
 */
export async function sendPayments(
  client: AdminClient,
  { fee, amount, to, count, from }: Payments,
  onSent: (sent: Sent) => void,
): Promise<void> {
  const secretKey = testAccountKey(from);
  const { chainId } = await client.status();
  let { nextNonce: nonce } = await client.account(testAccount(from));
  let conflicts = 0;
  for (let sent = 0; sent < count; ) {
    try {
      const hash = await client.submit(await signTransfer(secretKey, chainId, { to, amount, fee, nonce }));
      onSent({ hash, nonce });
      sent += 1;
      nonce += 1;
      conflicts = 0;
    } catch (error) {
      if (!(error instanceof AdminError) || error.status !== HTTP_CONFLICT) throw error;
      conflicts += 1;
      const { nextNonce } = await client.account(testAccount(from));
      // A conflict that is not about the nonce will not go away.
      if (nextNonce <= nonce || conflicts > CONFLICT_RETRIES) throw error;
      nonce = nextNonce;
    }
  }
}

const testAccount = (index: number): Hex => toHex(rawPublicKey(testAccountKey(index % TEST_ACCOUNTS)));

const U64_MAX = 2n ** 64n - 1n;

function parseAmount(text: string): bigint {
  const amount = /^\d{1,20}$/.test(text) ? BigInt(text) : U64_MAX + 1n;
  if (amount <= U64_MAX) return amount;
  throw new InvalidArgumentError(`expected a whole number from 0 to ${U64_MAX}.`);
}

function parseAccount(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) < TEST_ACCOUNTS) return Number(text);
  throw new InvalidArgumentError(`expected the number of a test account, 0 to ${TEST_ACCOUNTS - 1}.`);
}

function parseKey(text: string): Hex {
  const key = text.toLowerCase();
  if (isHex(key, KEY_BYTES) && isPublicKey(key)) return key;
  if (/^\d{1,3}$/.test(text) && Number(text) < TEST_ACCOUNTS) return testAccount(Number(text));
  throw new InvalidArgumentError(
    `expected an ed25519 public key of 64 hexadecimal digits, or a test account, 0 to ${TEST_ACCOUNTS - 1}.`,
  );
}

function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= COUNT_MAX) return count;
  throw new InvalidArgumentError(`expected a number of transactions from 1 to ${COUNT_MAX}.`);
}
