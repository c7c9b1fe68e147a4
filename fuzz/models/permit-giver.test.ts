import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RpcResponse } from "../../core/channels/rpc.ts";
import type { BatchId } from "../../core/ids.ts";
import { BAN_MS, RESUME_MS } from "../../core/limits.ts";
import { POOL_NAMES, type PoolName } from "../../core/pools.ts";
import { comparePriority } from "../../core/priority.ts";
import { adopt } from "../../reducers/testing/chain.ts";
import { bring, found, type Item, NOT_NOW, valid } from "../../reducers/testing/items.ts";
import { infos, response, say } from "../../reducers/testing/messages.ts";
import { closeTransport, readyPeer, type TestPeer, WITHOUT_TIPS } from "../../reducers/testing/peers.ts";
import { effectsOf, goodbyes, requestsTo, sentOn } from "../../reducers/testing/results.ts";
import { runs } from "../runs.ts";
import {
  type Announced,
  announced,
  connected,
  due,
  dueMs,
  ended,
  type Given,
  type GiverModel,
  isAsked,
  type Outcome,
  served,
} from "./permit-giver.ts";
import { add, changeTip, ITEMS, ITEMS_COUNT, itemAt, poolModel, priorityIn } from "./pool-model.ts";
import { answerPing, checkModel, command, createWorld, PORTION_MS, type Seen, type World } from "./world.ts";

/** 7.4 to 7.6 with a peer that has our permits: each permit, Refloor and request is the one the model expects. */

interface Real extends World {
  readonly pool: PoolName;
  peer: TestPeer;
  peers: number;
  /** What is asked and not answered: of the peer, or of the chain. */
  asked: { readonly id: number; readonly items: readonly Item[] } | null;
  batch: { readonly id: BatchId; readonly items: readonly Item[] } | null;
  /** How far the peer's log goes. */
  logEnd: bigint;
}

const CAPACITY = 3;
/** Fewer than half of 20 do not come: else the connection ends (doesNotHave). */
const WITHHELD_FEW = 9;

function setup(pool: PoolName): { model: GiverModel; real: Real } {
  const world = createWorld({ capacity: CAPACITY });
  const model: GiverModel = {
    pool: poolModel(pool, CAPACITY),
    nowMs: world.node.nowMs,
    phase: { tag: "open", windows: [] },
    high: { base: null, since: 0 },
    lastBand: null,
    windowMs: 0,
    nextSeq: 0,
    settled: null,
    withheld: 0,
    remembered: null,
  };
  const peer = readyPeer(world.node, "peer 0", WITHOUT_TIPS);
  const real: Real = { ...world, pool, peer, peers: 0, asked: null, batch: null, logEnd: 0n };
  compare(model, real, connected(model));
  return { model, real };
}

/** The node has sent what the model sends, and asks for what the model lacks. */
function compare(model: GiverModel, real: Real, given: Given | null, seen: Seen = real.look()): void {
  expect(seen.ended).toEqual([]);
  const refloored = given === null ? due(model) : null;
  const expected = [given, refloored].filter((one) => one !== null);
  const said = sentOn(seen.effects, real.peer.attemptId).flatMap(({ channel, message }) =>
    channel === real.pool ? [message] : [],
  );
  expect(said).toEqual(
    expected.map(({ tag, limit, window, resume }) =>
      tag === "getNext"
        ? { tag, limit, resume, window: expect.objectContaining(window) }
        : { tag, window: expect.objectContaining(window) },
    ),
  );
  take(real, seen);
  expect((real.asked ?? real.batch)?.items ?? []).toEqual(lacking(model));
}

/** What is being asked for: the greatest priority first, but commitments go to the chain as they came. */
function lacking(model: GiverModel): readonly Item[] {
  if (model.phase.tag === "open") return [];
  const { items } = model.phase;
  if (!isAsked(model)) return items;
  return [...items].sort((a, b) => comparePriority(priorityIn(a), priorityIn(b)));
}

/** Takes up what the peer and the chain are asked. */
function take(real: Real, { effects }: Seen): void {
  const named = (hashes: readonly string[]): readonly Item[] =>
    hashes.flatMap((hash) => ITEMS[real.pool].filter((item) => item.hash === hash));
  for (const { id, body } of requestsTo(effects, real.peer.attemptId))
    if ("hashes" in body) real.asked = { id, items: named(body.hashes) };
  if (real.pool !== "snark-job-commitment") return;
  for (const { batchId, items } of effectsOf(effects, "effect/verifyItems"))
    real.batch = { id: batchId, items: named(items.map(({ hash }) => hash)) };
}

function meet(model: GiverModel, real: Real, name: string): void {
  real.asked = null;
  real.batch = null;
  real.peer = readyPeer(real.node, name, WITHOUT_TIPS);
  compare(model, real, connected(model));
}

type Command = fc.Command<GiverModel, Real>;
const numbers = fc.uniqueArray(fc.nat(ITEMS_COUNT - 1), { maxLength: 4 });

interface Said {
  readonly numbers: readonly number[];
  /** Which of the windows is answered; beyond them: one that was never given. */
  readonly window: number;
  readonly rest: number | null;
}

function announcementOf(model: GiverModel, real: Real, said: Said): Announced {
  const windows = model.phase.tag === "open" ? model.phase.windows : [];
  const seq =
    said.window > 20 ? model.nextSeq : (windows[said.window % Math.max(1, windows.length)]?.seq ?? 0);
  real.logEnd += 4n;
  return {
    seq,
    items: said.numbers.map((number) => itemAt(real.pool, number)),
    rest: said.rest === null ? null : priorityIn(itemAt(real.pool, said.rest)),
    cursor: { epoch: 3n, next: real.logEnd },
  };
}

function sayInfos({ node, peer, pool }: Real, { seq, items, rest, cursor }: Announced): void {
  const all = items.map(({ info }) => info);
  say(node, peer.attemptId, infos(seq, all, { rest, cursor }, pool));
}

/** The connection has ended for this reason, and the model goes on with somebody else. */
function expectEnd(model: GiverModel, real: Real, reason: string): void {
  const { effects, ended: reasons } = real.look();
  expect(reasons).toEqual([reason]);
  expect(goodbyes(effects)).toEqual([`${reason} ${BAN_MS}`]);
  model.remembered = null;
  real.peers += 1;
  meet(model, real, `peer ${real.peers}`);
}

const announce = fc
  .record({ numbers, window: fc.nat(21), rest: fc.option(fc.nat(ITEMS_COUNT - 1), { freq: 2 }) })
  .map((said) =>
    command<GiverModel, Real>(`Infos ${JSON.stringify(said)}`, (model, real) => {
      const announcement = announcementOf(model, real, said);
      const outcome = announced(model, announcement);
      sayInfos(real, announcement);
      if (typeof outcome === "string") expectEnd(model, real, outcome);
      else compare(model, real, outcome);
    }),
  );

/** As often as there is a permit: what comes without one is a violation, and rare. */
const announceAllowed = announce.map((said) =>
  command<GiverModel, Real>(
    said.toString(),
    (model, real) => said.run(model, real),
    ({ phase }) => phase.tag === "open",
  ),
);

const contradict = fc.nat(ITEMS_COUNT - 1).map((number) =>
  command<GiverModel, Real>(
    `two infos for item ${number}`,
    (model, real) => {
      const item = itemAt(real.pool, number);
      const twin = { ...item, info: { ...item.info, fee: item.info.fee + 1n } } as Item;
      const said = {
        ...announcementOf(model, real, { numbers: [], window: 0, rest: null }),
        items: [item, twin],
      };
      sayInfos(real, said);
      expectEnd(model, real, "itemMismatch");
    },
    ({ phase, pool }) => phase.tag === "open" && pool.name !== "snark-job-commitment",
  ),
);

const outcomes = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Outcome>("valid") },
    { weight: 2, arbitrary: fc.constant<Outcome>("notNow") },
    { weight: 1, arbitrary: fc.constant<Outcome>("none") },
  ),
  { minLength: 1, maxLength: 4 },
);

const serve = outcomes.map((wished) =>
  command<GiverModel, Real>(
    `served: ${wished}`,
    (model, real) => {
      const { asked, batch } = real;
      const come = (batch?.items ?? asked?.items.slice(0, wished.length) ?? []).map((item, at) => {
        const outcome = wished[at] ?? "valid";
        const hasToCome = batch !== null || model.withheld >= WITHHELD_FEW;
        return [item, outcome === "none" && hasToCome ? "notNow" : outcome] as const;
      });
      real.asked = null;
      real.batch = null;
      const given = served(model, come);
      if (asked !== null) {
        const answered = found(...come.map(([item, outcome]) => (outcome === "none" ? null : item)));
        say(real.node, real.peer.attemptId, response(asked.id, answered));
      }
      const first = real.look();
      const verified = come.filter(([, outcome]) => outcome !== "none");
      const batchId = batch?.id ?? effectsOf(first.effects, "effect/verifyItems")[0]?.batchId;
      const verdicts = verified.map(([item, outcome]) => (outcome === "valid" ? valid(item) : NOT_NOW));
      if (batchId !== undefined) real.node.feed({ type: "event/itemsVerified", batchId, verdicts });
      const last = real.look();
      const seen = { effects: [...first.effects, ...last.effects], ended: [...first.ended, ...last.ended] };
      real.batch = null;
      compare(model, real, given, seen);
    },
    ({ phase }) => phase.tag === "processing",
  ),
);

const LATE: RpcResponse = { tag: "notFound" };

/** The peer and the chain answer what nobody waits for any more. */
function answerLate(model: GiverModel, real: Real): void {
  const { asked, batch } = real;
  real.asked = null;
  real.batch = null;
  if (asked !== null) say(real.node, real.peer.attemptId, response(asked.id, LATE));
  if (batch === null) return;
  const verdicts = batch.items.map(valid);
  real.node.feed({ type: "event/itemsVerified", batchId: batch.id, verdicts });
  for (const item of batch.items) add(model.pool, item);
}

const wait = fc.oneof(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 900, max: 16_000 })).map((ms) =>
  command<GiverModel, Real>(
    `${ms} ms`,
    (model, real) => {
      for (const endMs = model.nowMs + ms; model.nowMs < endMs; ) {
        const partMs = Math.min(endMs - model.nowMs, PORTION_MS, Math.max(1, dueMs(model) - model.nowMs));
        real.node.pass(partMs);
        model.nowMs += partMs;
        const wasProcessing = model.phase.tag === "processing";
        const given = due(model);
        const seen = real.look();
        if (wasProcessing && given !== null) answerLate(model, real);
        compare(model, real, given, seen);
        answerPing(real.node, real.peer);
      }
    },
    ({ phase, withheld }) => phase.tag === "open" || withheld + phase.items.length <= WITHHELD_FEW,
  ),
);

const comes = fc.nat(ITEMS_COUNT - 1).map((number) =>
  command<GiverModel, Real>(`item ${number} comes from elsewhere`, (model, real) => {
    const item = itemAt(real.pool, number);
    if (lacking(model).includes(item)) return;
    add(model.pool, item);
    const { asked, batch } = real;
    bring(real.node, [item]);
    const { effects, ended: reasons } = real.look();
    // What the chain was asked on the way is answered.
    const others = effects.filter(({ type }) => type !== "effect/verifyItems");
    compare(model, real, null, { effects: others, ended: reasons.filter((one) => one !== "connectionLost") });
    expect([real.asked, real.batch]).toEqual([asked, batch]);
  }),
);

const tip = fc.tuple(numbers, fc.nat(5)).map(([taken, branch]) =>
  command<GiverModel, Real>(`a block takes items ${taken}, on branch ${branch}`, (model, real) => {
    const items = taken.map((number) => itemAt(real.pool, number));
    const removed = items.filter(({ hash }) => model.pool.log.some(({ item }) => item.hash === hash));
    changeTip(model.pool, removed, branch > 0);
    adopt(real.node, {
      removed: removed.flatMap(({ info }) => ("nonce" in info ? [info.hash] : [])),
      jobsRemoved: removed.flatMap(({ info }) => ("jobId" in info ? [info.jobId] : [])),
      extendsOld: branch > 0,
    });
    compare(model, real, null);
  }),
);

const leave = fc.constantFrom(0, 1_000, RESUME_MS - 1, RESUME_MS).map((awayMs) =>
  command<GiverModel, Real>(`the peer is away for ${awayMs} ms`, (model, real) => {
    ended(model);
    closeTransport(real.node, real.peer.attemptId);
    expect(real.look().ended).toEqual(["connectionLost"]);
    real.node.pass(awayMs);
    model.nowMs += awayMs;
    meet(model, real, `peer ${real.peers}`);
  }),
);

const COMMANDS: fc.Arbitrary<Command>[] = [
  announceAllowed,
  announceAllowed,
  announceAllowed,
  serve,
  serve,
  serve,
  wait,
  wait,
  comes,
  tip,
  tip,
  leave,
  fc.oneof({ weight: 2, arbitrary: wait }, { weight: 1, arbitrary: fc.oneof(announce, contradict) }),
];

describe.each(POOL_NAMES)("model of %s: the side that gives permits", (pool) => {
  test("one permit after all is settled, with the window that 7.4 asks for, and Refloors when they are due", () => {
    checkModel(COMMANDS, () => setup(pool), { numRuns: runs(40), maxCommands: 50 });
  });
});
