import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Input } from "../../core/actions.ts";
import { assert } from "../../core/assert.ts";
import type { Effect } from "../../core/effects.ts";
import { parseLine } from "../../core/recording.ts";
import { initialState } from "../../core/state.ts";
import { START_MS } from "../../reducers/testing/chain.ts";
import { servicesOf } from "../../reducers/testing/chaos-services.ts";
import { diceOf, ITEMS, NAMES } from "../../reducers/testing/chaos-things.ts";
import { configOf, freshRequestId, party, type TestNode } from "../../reducers/testing/node.ts";
import { addressOf } from "../../reducers/testing/signals.ts";
import { createRecorder, type Recorder } from "../../service/recorder.ts";
import { createStore, type Store } from "../../service/store.ts";
import { replay } from "../recorder.ts";
import { runs } from "../runs.ts";
import { asyncCommand, turn, withoutRejections } from "./shell.ts";

/** The store and the recorder, with services that answer in any order. */

interface StoreModel {
  isClosed: boolean;
}

interface StoreReal {
  readonly store: Store;
  readonly recorder: Recorder;
  readonly directory: string;
  readonly observed: Input[];
  readonly time: { nowMs: number };
  readonly bugs: unknown[];
}

function storeSetup(scheduler: fc.Scheduler): { model: StoreModel; real: StoreReal } {
  const directory = mkdtempSync(join(tmpdir(), "pollen-model-"));
  const initial = initialState(configOf("us", { produces: true }), "5e".repeat(32), START_MS);
  const model: StoreModel = { isClosed: false };
  const recorder = createRecorder({ directory, initial, onStop: (reason) => expect(reason).toBe("never") });
  const runEffect = (effect: Effect): void => {
    void scheduler.schedule(Promise.resolve(effect), effect.type).then((asked) => {
      const answer = serve(asked);
      if (answer !== null) store.input(answer);
    });
  };
  const observed: Input[] = [];
  const bugs: unknown[] = [];
  const time = { nowMs: START_MS };
  const store = createStore({
    initial,
    clock: () => time.nowMs,
    runEffect,
    observe: (input, timeMs, { state }) => {
      expect(model.isClosed).toBe(false);
      observed.push(input);
      recorder.record(input, timeMs, state);
    },
    onBug: (error) => bugs.push(error),
  });
  const real: StoreReal = { store, recorder, directory, observed, time, bugs };
  const serve = servicesOf(asNode(real), diceOf(1));
  return { model, real };
}

/** The services of tests look at the state, and at nothing else. */
const asNode = (real: StoreReal): TestNode => {
  const unused = (): never => {
    throw new Error("the store feeds itself");
  };
  return {
    get state() {
      return real.store.state();
    },
    get nowMs() {
      return real.time.nowMs;
    },
    feed: unused,
    pass: unused,
    freeze: unused,
    at: unused,
  };
};

type StoreCommand = fc.AsyncCommand<StoreModel, StoreReal>;

const inputs: fc.Arbitrary<() => Input> = fc.oneof(
  fc.nat(11).map((at) => (): Input => {
    const item = ITEMS.transaction[at];
    assert(item !== undefined, "there are so many items");
    return { type: "command/submit", requestId: freshRequestId(), pool: "transaction", bytes: item.bytes };
  }),
  fc.constantFrom(...NAMES.slice(0, 3)).map(
    (name) => (): Input => ({
      type: "command/dial",
      requestId: freshRequestId(),
      address: addressOf(party(name)),
    }),
  ),
  fc.constant(
    (): Input => ({
      type: "event/signalReceived",
      requestId: freshRequestId(),
      remoteAddress: "20.30.40.50",
      envelope: Uint8Array.of(1),
    }),
  ),
  fc.constant((): Input => ({ type: "tick" })),
);

const input = inputs.map(
  (make): StoreCommand => asyncCommand("an input", (_model, { store }) => store.input(make())),
);

const close: StoreCommand = asyncCommand("close", (model, { store }) => {
  store.close();
  model.isClosed = true;
});

const storeCommands: fc.Arbitrary<StoreCommand>[] = [
  input,
  input,
  fc.integer({ min: 1, max: 20_000 }).map((ms) =>
    asyncCommand(`${ms} ms`, (_model, real) => {
      real.time.nowMs += ms;
      real.store.input({ type: "tick" });
    }),
  ),
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(asyncCommand("a turn of the event loop", turn)) },
    { weight: 1, arbitrary: fc.constant(close) },
  ),
];

test("shell: services that answer in any order, also after the end, leave a recording that replays", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.commands(storeCommands, { maxCommands: 40, size: "max" }),
      (scheduler, commands) =>
        withoutRejections(async () => {
          const { model, real } = storeSetup(scheduler);
          try {
            await fc.scheduledModelRun(scheduler, () => ({ model, real }), commands);
            real.store.close();
            model.isClosed = true;
            await real.recorder.close();
            await real.recorder.close();
            expect(real.bugs).toEqual([]);
            const text = readFileSync(join(real.directory, "000000.ndjson"), "utf8");
            const lines = text.trimEnd().split("\n");
            expect(lines.filter((line) => parseLine(line).tag === "input")).toHaveLength(
              real.observed.length,
            );
            expect(replay(lines).tag).toBe("equal");
          } finally {
            real.store.close();
            rmSync(real.directory, { recursive: true, force: true });
          }
        }),
    ),
    { numRuns: runs(25) },
  );
});
