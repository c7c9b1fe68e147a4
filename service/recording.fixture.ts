import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { Input } from "../core/actions.ts";
import { itemHash } from "../core/hash.ts";
import type { BatchId, Hash, PeerId, RequestId } from "../core/ids.ts";
import { DEFAULT_ADMISSION, initialState, type State } from "../core/state.ts";
import { step } from "../reducers/step.ts";
import { testGenesis } from "./chain/genesis.ts";
import { createRecorder, type RecorderOptions } from "./recorder.ts";

// What the tests of recording, reading and replaying share.

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** An empty directory that ends with the tests of the file. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "pollen-recording-"));
  directories.push(directory);
  return directory;
}

const START_MS = 1_800_000_000_000;

export const initial: State = initialState(
  {
    peerId: "12D3KooWEpoBYNFuLTiww8LtGqVeXtLoGs9T6AKNhX3yrfR8pHJ4" as PeerId,
    publicKey: "4a".repeat(32),
    chainId: "c4".repeat(32),
    userAgent: "pollen/test",
    listen: null,
    peersMax: 100,
    peersMin: 0,
    allowPrivateCandidates: false,
    admission: DEFAULT_ADMISSION,
    chain: testGenesis().parameters,
    capacity: 3_000,
    produces: false,
    workFee: null,
  },
  "5e".repeat(32),
  START_MS,
);

export interface Stepped {
  readonly input: Input;
  readonly timeMs: number;
  readonly after: State;
}

/** A run of the real core: transactions are submitted and verified, one every 10 ms. */
export function* run(transactions: number): Generator<Stepped> {
  let state = initial;
  const apply = (input: Input, timeMs: number): Stepped => {
    state = step(state, input, timeMs).state;
    return { input, timeMs, after: state };
  };
  for (let number = 1; number <= transactions; number++) {
    const timeMs = START_MS + 10 * number;
    const bytes = new Uint8Array(150).fill(number % 256);
    new DataView(bytes.buffer).setUint32(0, number);
    const info = { hash: itemHash(bytes) as Hash, fee: 100n, sender: "aa".repeat(32), nonce: number };
    yield apply(
      { type: "command/submit", requestId: number as RequestId, pool: "transaction", bytes },
      timeMs,
    );
    const verdicts = [{ tag: "valid", info }] as const;
    yield apply({ type: "event/itemsVerified", batchId: number as BatchId, verdicts }, timeMs + 1);
  }
}

/** Records a run. @returns the state at its end */
export async function record(
  directory: string,
  transactions: number,
  options: Partial<RecorderOptions> = {},
): Promise<State> {
  const onStop = (reason: string): void => {
    throw new Error(`the recording ended: ${reason}`);
  };
  const recorder = createRecorder({ directory, initial, onStop, ...options });
  let last = initial;
  for (const { input, timeMs, after } of run(transactions)) {
    recorder.record(input, timeMs, after);
    last = after;
  }
  await recorder.close();
  return last;
}
