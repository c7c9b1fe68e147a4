import { describe, expect, test } from "vitest";
import type { BlockHeader, UnsignedHeader } from "../../core/block.ts";
import { toHex } from "../../core/bytes.ts";
import type { BlockVerdict } from "../../core/chain.ts";
import type { Hash } from "../../core/ids.ts";
import { rawPublicKey } from "../ed25519.ts";
import { ephemeralKey } from "../key-file.ts";
import {
  ACCOUNTS,
  accountOf,
  flip,
  forge,
  genesisOf,
  openChain,
  signedBy,
  winnerOf,
} from "./chain.fixture.ts";
import { testGenesis } from "./genesis.ts";
import { lotteryOutput, mayProduce } from "./lottery.ts";
import { slotStartMs } from "./slots.ts";

const genesis = testGenesis({ slotsPerEpoch: 30 });
const SLOT = 65;
const CREATOR = winnerOf(genesis, SLOT);

const honest = async (slot = SLOT): Promise<BlockHeader> =>
  (await forge(genesis, genesisOf(genesis), { slot })).header;

/** Changed and signed again: only the rule that is broken can tell. */
const changed = async (
  change: (header: BlockHeader) => UnsignedHeader,
  by = CREATOR,
): Promise<BlockHeader> => {
  const { signature: _, ...unsigned } = change(await honest()) as BlockHeader;
  return signedBy(by, unsigned);
};

const loser = ACCOUNTS.findIndex((account) => !mayProduce(genesis, SLOT, account));
const stranger = toHex(rawPublicKey(ephemeralKey()));

const outputOf = (creator: string) => lotteryOutput(genesis.chainId, SLOT, creator);

const judge = (headers: readonly BlockHeader[], nowMs?: number): Promise<BlockVerdict> =>
  openChain(genesis, nowMs === undefined ? {} : { clock: () => nowMs }).judge(headers);

test("header: one that was made by the rules is valid", async () => {
  expect(await judge([await honest()])).toEqual({ tag: "valid" });
  expect(await judge([])).toEqual({ tag: "valid" });
});

describe("header: invalid by itself is", () => {
  type Case = [what: string, make: () => Promise<BlockHeader>, detail: string];
  const cases: readonly Case[] = [
    ["a height of 0", () => changed((header) => ({ ...header, height: 0 })), "the height is below 1"],
    [
      "more blocks than slots",
      () => changed((header) => ({ ...header, height: SLOT + 1 })),
      "the slot is below the height",
    ],
    [
      "an epoch too high",
      () => changed((header) => ({ ...header, epoch: 3 })),
      "the epoch is not that of the slot",
    ],
    [
      "an epoch too low",
      () => changed((header) => ({ ...header, epoch: 1 })),
      "the epoch is not that of the slot",
    ],
    [
      "a timestamp a millisecond late",
      () => changed((header) => ({ ...header, timestamp: header.timestamp + 1n })),
      "the timestamp is not the start of the slot",
    ],
    [
      "a creator that the genesis block does not know",
      () =>
        changed((header) => ({
          ...header,
          creator: stranger,
          consensus: { ...header.consensus, vrfOutput: outputOf(stranger) },
        })),
      "the creator has no account in the genesis block",
    ],
    [
      "the lottery output of somebody else",
      () =>
        changed((header) => ({
          ...header,
          consensus: { ...header.consensus, vrfOutput: flip(header.consensus.vrfOutput) },
        })),
      "the lottery output is not that of the slot and the creator",
    ],
    [
      "a creator who did not win the slot",
      () =>
        changed(
          (header) => ({
            ...header,
            creator: accountOf(loser),
            consensus: { ...header.consensus, vrfOutput: outputOf(accountOf(loser)) },
          }),
          loser,
        ),
      "the creator did not win the slot",
    ],
    [
      "the signature of somebody else",
      () => changed((header) => header, loser),
      "the signature is not the creator's",
    ],
    ...(["parent", "bodyRoot", "ledgerRoot"] as const).map(
      (field): Case => [
        `a ${field} changed after signing`,
        async () => {
          const header = await honest();
          return { ...header, [field]: flip(header[field]) };
        },
        "the signature is not the creator's",
      ],
    ),
    [
      "another block of height 0 than the genesis block, signed by nobody",
      async () => {
        const { header } = genesisOf(genesis);
        return { ...header, ledgerRoot: flip<Hash>(header.ledgerRoot) };
      },
      "the height is below 1",
    ],
  ];
  test.each(cases)("%s", async (_what, make, detail) => {
    expect(await judge([await make()])).toEqual({ tag: "invalid", detail });
  });
});

test("header: the genesis block is valid though nobody made or signed it: it ends every ancestry", async () => {
  expect(await judge([await honest(), genesisOf(genesis).header])).toEqual({ tag: "valid" });
});

test("header: slot n starts n slots after the genesis block, and belongs to the epoch of its number", async () => {
  const other = testGenesis({ slotMs: 70, genesisMs: 1_000, slotsPerEpoch: 30 });
  const { header } = await forge(other, genesisOf(other), { slot: SLOT });
  expect(header).toMatchObject({ timestamp: 5_550n, epoch: 2 });
  expect(genesisOf(other).header).toMatchObject({ timestamp: 1_000n, epoch: 0, slot: 0, height: 0 });
});

test("header: a slot may start 2 s in the future; one later is not yet to be judged", async () => {
  const header = await honest();
  const startMs = slotStartMs(genesis.parameters, SLOT);
  expect(await judge([header], startMs - 2_000)).toEqual({ tag: "valid" });
  expect(await judge([header], startMs - 2_001)).toEqual({
    tag: "notNow",
    detail: "the slot is in the future",
  });
});

test("header: one bad header makes the whole batch invalid, wherever it stands", async () => {
  const good = await honest();
  const bad = { ...good, signature: flip(good.signature) };
  expect(await judge([good, good, good])).toEqual({ tag: "valid" });
  expect(await judge([bad, good, good])).toMatchObject({ tag: "invalid" });
  expect(await judge([good, good, bad])).toMatchObject({ tag: "invalid" });
});

test("header: bad is bad also in the future", async () => {
  const [early, late] = [await honest(40), await honest(65)];
  const nowMs = slotStartMs(genesis.parameters, 50);
  expect(await judge([early, late], nowMs)).toMatchObject({ tag: "notNow" });
  expect(await judge([early, { ...late, signature: flip(late.signature) }], nowMs)).toMatchObject({
    tag: "invalid",
  });
});
