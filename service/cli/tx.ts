import { Command, InvalidArgumentError } from "commander";
import { type Hex, isHex, toHex } from "../../core/bytes.ts";
import { isPublicKey } from "../../core/identity.ts";
import { type AdminClient, AdminError, createAdminClient } from "../admin-client.ts";
import { TEST_ACCOUNTS, testAccountKey } from "../chain/genesis.ts";
import { signTransfer } from "../chain/transfer.ts";
import { KEY_BYTES, rawPublicKey } from "../ed25519.ts";
import { UserError } from "./errors.ts";

interface Flags {
  readonly admin: string;
  readonly fee: bigint;
  readonly amount: bigint;
  readonly to?: Hex;
  readonly count: number;
  readonly from: number;
  readonly json?: true;
}

/** More are better fed by a devnet. */
const COUNT_MAX = 100_000;
/** Somebody else who sends from the same account takes nonces: try the next one this often. */
const CONFLICT_RETRIES = 5;
const HTTP_CONFLICT = 409;

export const txCommand = (): Command =>
  new Command("tx").description("work with transactions").addCommand(
    new Command("send")
      .description("sign payments with a well-known test account and submit them to a node")
      .requiredOption("--admin <url>", "operator API of the node")
      .option("--fee <n>", "in the smallest unit", parseAmount, 100n)
      .option("--amount <n>", "in the smallest unit", parseAmount, 1n)
      .option(
        "--to <key>",
        "public key, or number of a test account (default: another than --from)",
        parseKey,
      )
      .option("--count <n>", "how many, with growing nonces", parseCount, 1)
      .option("--from <n>", `test account that pays, 0 to ${TEST_ACCOUNTS - 1}`, parseAccount, 0)
      .option("--json", "print each result as a line of JSON")
      .addHelpText("after", EXAMPLES)
      .action(run),
  );

const EXAMPLES = `
Examples:
  $ pollen tx send --admin http://127.0.0.1:7380
  $ pollen tx send --admin http://127.0.0.1:7380 --from 3 --to 4 --amount 1000 --fee 500 --count 10`;

async function run(flags: Flags): Promise<void> {
  try {
    await send(createAdminClient(flags.admin), flags);
  } catch (error) {
    throw error instanceof AdminError ? new UserError(error.message) : error;
  }
}

/** @throws AdminError with the reason of the node */
async function send(
  client: AdminClient,
  { from, to = testAccount(from + 1), ...flags }: Flags,
): Promise<void> {
  const secretKey = testAccountKey(from);
  const sender = testAccount(from);
  const { chainId } = await client.status();
  let { nextNonce } = await client.account(sender);
  let conflicts = 0;
  for (let sent = 0; sent < flags.count; ) {
    const nonce = nextNonce;
    const payment = { to, amount: flags.amount, fee: flags.fee, nonce };
    try {
      const hash = await client.submit(await signTransfer(secretKey, chainId, payment));
      process.stdout.write(flags.json ? `${JSON.stringify({ hash, nonce })}\n` : `${hash} nonce ${nonce}\n`);
      sent += 1;
      nextNonce += 1;
      conflicts = 0;
    } catch (error) {
      const isConflict = error instanceof AdminError && error.status === HTTP_CONFLICT;
      if (!isConflict || conflicts >= CONFLICT_RETRIES) throw error;
      conflicts += 1;
      const account = await client.account(sender);
      // A conflict that is not about the nonce will not go away.
      if (account.nextNonce <= nonce) throw error;
      nextNonce = account.nextNonce;
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
