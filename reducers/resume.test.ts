import { describe, expect, test } from "vitest";
import type { Cursor } from "../core/channels/permits.ts";
import { RESUME_MS } from "../core/limits.ts";
import { POOL_NAMES, type PoolName, priorityOf } from "../core/pools.ts";
import { GREATEST_PRIORITY } from "../core/priority.ts";
import { adopt, START_MS } from "./testing/chain.ts";
import {
  announce,
  bring,
  commitmentOf,
  type Item,
  itemOf,
  NOT_NOW,
  permitOf,
  permitsIn,
  serve,
  snarkOf,
  valid,
  verified,
  windowsOf,
} from "./testing/items.ts";
import { control, infos, say } from "./testing/messages.ts";
import { freshRequestId, party, type TestNode, testNode } from "./testing/node.ts";
import {
  channelsWithout,
  closeTransport,
  liveOf,
  openTransport,
  readyPeer,
  sayHello,
  type TestPeer,
  WITHOUT_TIPS,
} from "./testing/peers.ts";
import { effectsOf, requestsTo } from "./testing/results.ts";
import { offerFrom } from "./testing/signals.ts";

/** 7.4, Resume. */

const MAKE: { readonly [Pool in PoolName]: (name: string) => Item } = {
  transaction: (name) => itemOf(name),
  snark: (name) => snarkOf(name),
  "snark-job-commitment": (name) => commitmentOf(name, START_MS),
};

const cursorAt = (next: bigint, epoch = 7n): Cursor => ({ epoch, next });

/** A message of the peer, with everything in it settled. */
function settleOne(node: TestNode, peer: TestPeer, item: Item, cursor: Cursor, verdict = valid(item)): void {
  const { effects } = announce(node, peer, [item], { cursor });
  const [asked] = requestsTo(effects, peer.attemptId);
  const served = asked === undefined ? effects : serve(node, peer, asked.id, item).effects;
  if (effectsOf(served, "effect/verifyItems").length > 0) verified(node, served, verdict);
}

const leave = (node: TestNode, { attemptId }: TestPeer): void => void closeTransport(node, attemptId);

/** Its first permit when it is back. The node itself stays where it is. */
function permitAfter(node: TestNode, name: string, pool: PoolName, channels = channelsWithout("best-tip")) {
  const copy = node.at(node.state);
  const { attemptId, peerId, publicKey } = offerFrom(copy, party(name));
  openTransport(copy, attemptId);
  const { effects } = sayHello(copy, attemptId, channels);
  const [permit, ...others] = permitsIn(effects, { attemptId, peerId, publicKey }, pool);
  expect(others).toEqual([]);
  return { resume: permit?.resume ?? null, window: permit?.window };
}

describe.each(POOL_NAMES)("resume on %s", (pool) => {
  const [a, b] = [MAKE[pool]("a"), MAKE[pool]("b")];

  test("P23: a peer that comes back within ten minutes goes on where everything was settled", () => {
    const node = testNode();
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    settleOne(node, p, a, cursorAt(5n));
    leave(node, p);
    node.pass(RESUME_MS - 1);
    expect(permitAfter(node, "p", pool).resume).toEqual(cursorAt(5n));
    node.pass(1);
    expect(permitAfter(node, "p", pool).resume).toBeNull();
    expect(node.state.resumes.size).toBe(0);
  });

  test("what is not settled when it leaves is told again", () => {
    const node = testNode();
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    settleOne(node, p, a, cursorAt(5n));
    announce(node, p, [b], { cursor: cursorAt(6n) });
    leave(node, p);
    expect(permitAfter(node, "p", pool).resume).toEqual(cursorAt(5n));
  });

  test("a cursor is of one peer and one pool", () => {
    const node = testNode();
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    settleOne(node, p, a, cursorAt(5n));
    leave(node, p);
    expect(permitAfter(node, "q", pool).resume).toBeNull();
    for (const other of POOL_NAMES)
      if (other !== pool) expect(permitAfter(node, "p", other).resume).toBeNull();
  });

  test("what it may lack is remembered with the cursor", () => {
    const node = testNode();
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    settleOne(node, p, a, cursorAt(5n), NOT_NOW);
    leave(node, p);
    const { window } = permitAfter(node, "p", pool);
    expect(window?.band).toEqual(pool === "transaction" ? priorityOf(a.info) : GREATEST_PRIORITY);
  });

  test("what became lacking while it was away is asked for too", () => {
    const node = testNode();
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    settleOne(node, p, a, cursorAt(5n));
    leave(node, p);
    adopt(node, { extendsOld: false });
    expect(permitAfter(node, "p", pool).window).toMatchObject({ band: GREATEST_PRIORITY });
  });

  test("a band whose infos were not settled is asked for again", () => {
    const node = testNode();
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    settleOne(node, p, a, cursorAt(5n));
    node.pass(1_000);
    adopt(node, { extendsOld: false });
    expect(windowsOf(node, p, pool).at(-1)).toMatchObject({ band: GREATEST_PRIORITY });
    // Everything was served, says the answer; but the connection ends before any of it is here.
    announce(node, p, [b], { cursor: cursorAt(5n), rest: null });
    leave(node, p);
    expect(permitAfter(node, "p", pool)).toMatchObject({
      resume: cursorAt(5n),
      window: { band: GREATEST_PRIORITY },
    });
  });
});

test("resume: the first permit of the next connection carries the cursor, the second none", () => {
  const node = testNode();
  const p = readyPeer(node, "p", WITHOUT_TIPS);
  settleOne(node, p, itemOf("a"), cursorAt(5n));
  leave(node, p);
  const again = readyPeer(node, "p", WITHOUT_TIPS);
  expect(permitOf(node, again)).toBe(0);
  const { effects } = say(node, again.attemptId, infos(0, [itemOf("a").info], { cursor: cursorAt(5n) }));
  expect(effectsOf(effects, "effect/send").map(({ message }) => message)).toMatchObject([
    { tag: "getNext", resume: null },
  ]);
});

test("resume: a connection that ends before it has settled anything leaves the old point", () => {
  const node = testNode();
  const p = readyPeer(node, "p", WITHOUT_TIPS);
  settleOne(node, p, itemOf("a"), cursorAt(5n));
  leave(node, p);
  for (let round = 0; round < 3; round++) leave(node, readyPeer(node, "p", WITHOUT_TIPS));
  expect(permitAfter(node, "p", "transaction").resume).toEqual(cursorAt(5n));
});

test("resume: a channel that is not enabled this time loses nothing of the others", () => {
  const node = testNode();
  const p = readyPeer(node, "p", WITHOUT_TIPS);
  settleOne(node, p, itemOf("a"), cursorAt(5n));
  settleOne(node, p, snarkOf("a"), cursorAt(9n));
  leave(node, p);
  const again = readyPeer(node, "p", { channels: channelsWithout("best-tip", "snark") });
  expect(liveOf(node, again)?.pools).toMatchObject({ snark: null, transaction: { settled: cursorAt(5n) } });
});

test("resume: the floor's rises while a peer was away count", () => {
  const node = testNode({ capacity: 1 });
  const p = readyPeer(node, "p", WITHOUT_TIPS);
  settleOne(node, p, itemOf("a", 10n), cursorAt(5n));
  leave(node, p);
  const rich = itemOf("rich", 1_000n);
  bring(node, [rich]);
  adopt(node, { removed: [rich.hash] });
  expect(permitAfter(node, "p", "transaction").window).toMatchObject({
    floor: null,
    band: priorityOf(rich.info),
  });
});

test("resume: whoever ends a connection, its point is kept", () => {
  for (const end of ["operator", "goodbye", "lost"] as const) {
    const node = testNode();
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    const { attemptId, peerId } = p;
    settleOne(node, p, itemOf("a"), cursorAt(5n));
    if (end === "lost") closeTransport(node, attemptId);
    else if (end === "goodbye") say(node, attemptId, control({ tag: "goodbye", reason: 16, banMs: 0 }));
    else node.feed({ type: "command/disconnect", requestId: freshRequestId(), peerId });
    expect(permitAfter(node, "p", "transaction").resume).toEqual(cursorAt(5n));
  }
});
