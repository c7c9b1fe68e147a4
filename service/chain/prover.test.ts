import { afterEach, expect, test } from "vitest";
import type { JobId } from "../../core/ids.ts";
import { accountOf, itemOf, measureTurns, openChain } from "./chain.fixture.ts";
import { testAccountKey, testGenesis } from "./genesis.ts";
import { createProver, type Prover } from "./prover.ts";
import { checkWork } from "./work.ts";

const [FIRST, SECOND] = ["11".repeat(32) as JobId, "22".repeat(32) as JobId];
const account = testAccountKey(0);
const easy = testGenesis({ workBits: 10 });
/** Nobody finds this. */
const hopeless = testGenesis({ workBits: 200 });

let prover: Prover | undefined;
afterEach(() => prover?.stop());

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number): Promise<void> => {
  for (let done = 0; done < count; done++) await turn();
};

test("prover: it makes sound work for the account, in a later turn", async () => {
  const { chain, ask, events } = openChain(easy, { account });
  const made = ask("event/snarkMade", () => chain.makeSnark(FIRST, 7n));
  expect(events).toEqual([]);
  const { jobId, bytes } = await made;
  expect(jobId).toBe(FIRST);
  const item = itemOf(bytes);
  expect(checkWork(easy, item)).toEqual({
    tag: "sound",
    value: { jobId: FIRST, hash: item.hash, fee: 7n, prover: accountOf(0) },
  });
});

test("prover: a second call takes the place of the first, of which nothing comes", async () => {
  const { chain, ask, events } = openChain(easy, { account });
  chain.makeSnark(FIRST, 7n);
  const { jobId } = await ask("event/snarkMade", () => chain.makeSnark(SECOND, 7n));
  expect(jobId).toBe(SECOND);
  await turns(50);
  expect(events.length).toBe(1);
});

test("prover: what is given up ends, and nothing comes of it", async () => {
  const { chain, events } = openChain(testGenesis({ workBits: 0 }), { account });
  chain.makeSnark(FIRST, 7n);
  chain.abandonSnark();
  await turns(20);
  chain.abandonSnark();
  expect(events).toEqual([]);
});

test("prover: the search lets go of the event loop after about 2 ms", async () => {
  prover = createProver(hopeless, () => expect.fail("nobody finds this"));
  prover.start({ jobId: FIRST, fee: 1n, prover: accountOf(0) });
  const { medianMs, medianCpuMs } = await measureTurns((turns) => turns === 100);
  expect(medianCpuMs).toBeLessThan(6);
  // Nor more often than needed: the search would starve.
  expect(medianMs).toBeGreaterThan(1);
});

test("prover: searching takes the time that the difficulty says: twice as much for each bit", async () => {
  const attempts = async (workBits: number): Promise<number> => {
    const genesis = testGenesis({ workBits, proofBytes: 32 });
    const nonces: number[] = [];
    await new Promise<void>((resolve) => {
      const next = (index: number): void =>
        prover?.start({
          jobId: index.toString(16).padStart(64, "0") as JobId,
          fee: 1n,
          prover: accountOf(0),
        });
      prover = createProver(genesis, (_claim, bytes) => {
        nonces.push(Number(new DataView(bytes.buffer).getBigUint64(73, true)));
        if (nonces.length === 200) resolve();
        else next(nonces.length);
      });
      next(0);
    });
    return nonces.reduce((sum, nonce) => sum + nonce, 0) / nonces.length;
  };
  // The mean of 200 draws from a geometric distribution is right to 7 %; five of these.
  for (const bits of [4, 8]) {
    const mean = await attempts(bits);
    expect(mean / 2 ** bits).toBeGreaterThan(0.65);
    expect(mean / 2 ** bits).toBeLessThan(1.35);
  }
});
