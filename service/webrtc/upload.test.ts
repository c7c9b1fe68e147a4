import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jainIndex } from "../../fuzz/fairness/shares.ts";
import { createUpload, type Sender, type Upload } from "./upload.ts";

/** The cap on virtual time, with senders that are only queues. */

interface World {
  readonly upload: Upload;
  readonly nowMs: () => number;
  readonly pass: (ms: number) => void;
}

function worldOf(bytesPerSecond: number): World {
  let nowMs = 1_000;
  const timers: { readonly atMs: number; readonly run: () => void }[] = [];
  const upload = createUpload({
    bytesPerSecond,
    clock: () => nowMs,
    after: (ms, run) => timers.push({ atMs: nowMs + ms, run }),
  });
  return {
    upload,
    nowMs: () => nowMs,
    pass: (ms) => {
      const endMs = nowMs + ms;
      for (;;) {
        timers.sort((a, b) => a.atMs - b.atMs);
        const first = timers[0];
        if (first === undefined || first.atMs > endMs) break;
        timers.shift();
        nowMs = first.atMs;
        first.run();
      }
      nowMs = endMs;
    },
  };
}

interface TestSender extends Sender {
  sent: number;
  told: number;
  /** The longest time between two of its messages, ms. */
  gapMs: number;
}

/** Has always another message of this size, or as many as it is given. */
function senderOf(world: World, sizeOf: () => number, count = Number.POSITIVE_INFINITY): TestSender {
  let [left, next, lastMs] = [count, sizeOf(), world.nowMs()];
  return {
    sent: 0,
    told: 0,
    gapMs: 0,
    sendUpTo(bytes) {
      let sent = 0;
      for (; left > 0 && sent + next <= bytes; left--) {
        sent += next;
        this.gapMs = Math.max(this.gapMs, world.nowMs() - lastMs);
        lastMs = world.nowMs();
        next = sizeOf();
      }
      this.sent += sent;
      return sent;
    },
    hasMore: () => left > 0,
    waitsOn() {
      this.told += 1;
    },
  };
}

const RATE = 1_000_000;

describe("the cap on what is sent", () => {
  test("is obeyed within 5 % in every second, and used to 95 % in all, whatever the sizes of messages", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 300_000, max: 20_000_000 }),
        (sizes, senders, rate) => {
          const world = worldOf(rate);
          let next = 0;
          const sizeOf = (): number => sizes[next++ % sizes.length] ?? 1;
          const all = Array.from({ length: senders }, () => senderOf(world, sizeOf));
          for (const sender of all) world.upload.wait(sender);
          const sentOf = (): number => all.reduce((sum, { sent }) => sum + sent, 0);
          // One message may be begun when the second ends.
          for (let second = 1; second <= 8; second++) {
            world.pass(1_000);
            expect(sentOf()).toBeLessThanOrEqual(second * rate * 1.05 + 65_536);
          }
          expect(sentOf()).toBeGreaterThanOrEqual(8 * rate * 0.95 - 65_536);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("is shared equally by who waits, large and small messages alike: Jain's index >= 0.95 of 32", () => {
    const world = worldOf(RATE);
    const senders = Array.from({ length: 32 }, (_, index) =>
      senderOf(world, () => [100, 1_200, 16_000, 61_000][index % 4] ?? 100),
    );
    for (const sender of senders) world.upload.wait(sender);
    world.pass(20_000);
    expect(jainIndex(senders.map(({ sent }) => sent))).toBeGreaterThanOrEqual(0.95);
  });

  test("gives who asks for a hundred times as much no more than its share while others wait", () => {
    const world = worldOf(RATE);
    const greedy = senderOf(world, () => 61_000);
    const modest = Array.from({ length: 9 }, () => senderOf(world, () => 1_000, 900));
    for (const sender of [greedy, ...modest]) world.upload.wait(sender);
    world.pass(5_000);
    expect(greedy.sent).toBeLessThanOrEqual((1.5 * 5 * RATE) / 10);
    for (const { sent } of modest) expect(sent).toBeGreaterThanOrEqual((0.7 * 5 * RATE) / 10);
    // And all of it when they have what they wanted.
    world.pass(60_000);
    const before = greedy.sent;
    world.pass(1_000);
    expect(greedy.sent - before).toBeGreaterThan(0.9 * RATE);
  });

  test("lets what is urgent leave at once, while others wait, and counts it", () => {
    const world = worldOf(RATE);
    const sender = senderOf(world, () => 1_000);
    world.upload.wait(sender);
    let urgent = 0;
    for (let ms = 0; ms < 10_000; ms += 10) {
      if (world.upload.takeUrgent(2_000)) urgent += 2_000;
      world.pass(10);
    }
    expect(urgent).toBe(10 * 200_000);
    expect(sender.sent).toBeGreaterThan(0.95 * 10 * RATE - urgent);
    expect(sender.sent).toBeLessThanOrEqual(1.05 * 10 * RATE - urgent);
  });

  test("gives who waits half of it, however much is urgent, and is obeyed within 5 % in every second (P26)", () => {
    const world = worldOf(RATE);
    const sender = senderOf(world, () => 1_000);
    let urgent = 0;
    // Nothing waits in the first 2 s. In the last 4 s it is urgent only at the end of each.
    for (let second = 1; second <= 10; second++) {
      if (second === 3) world.upload.wait(sender);
      const before = urgent + sender.sent;
      for (let ms = 0; ms < 1_000; ms++) {
        const messages = second <= 6 || ms >= 990 ? 5 : 0;
        for (let message = 0; message < messages; message++)
          if (world.upload.takeUrgent(2_000)) urgent += 2_000;
        world.pass(1);
      }
      expect(urgent + sender.sent - before).toBeLessThanOrEqual(1.05 * RATE);
      if (second === 6) expect(sender.sent).toBeGreaterThanOrEqual(0.48 * 4 * RATE);
    }
    // It leaves no debt.
    const before = sender.sent;
    world.pass(1_000);
    expect(sender.sent - before).toBeGreaterThan(0.95 * RATE);
  });

  test("lets nobody overtake who waits", () => {
    const world = worldOf(RATE);
    expect(world.upload.take(60_000)).toBe(true);
    expect(world.upload.take(1)).toBe(false);
    const sender = senderOf(world, () => 60_000, 1);
    world.upload.wait(sender);
    world.pass(200);
    expect(sender.sent).toBe(60_000);
    world.pass(200);
    expect(world.upload.take(1)).toBe(true);
  });

  test("tells who waits for long that it is not the peer that is slow", () => {
    const world = worldOf(10_000);
    const senders = Array.from({ length: 20 }, () => senderOf(world, () => 60_000));
    for (const sender of senders) world.upload.wait(sender);
    world.pass(60_000);
    for (const { told } of senders) expect(told).toBeGreaterThanOrEqual(10);
  });

  test("tells them also while a large debt is paid off", () => {
    const world = worldOf(4_000);
    const sender = senderOf(world, () => 1_000);
    expect(world.upload.take(60_000)).toBe(true);
    world.upload.wait(sender);
    world.pass(7_000);
    expect(sender.told).toBeGreaterThanOrEqual(1);
    world.pass(7_000);
    expect(sender.told).toBeGreaterThanOrEqual(2);
    expect(sender.sent).toBe(0);
  });

  test("forgets who has gone", () => {
    const world = worldOf(RATE);
    const [gone, left] = [senderOf(world, () => 1_000), senderOf(world, () => 1_000)];
    for (const sender of [gone, left]) world.upload.wait(sender);
    world.upload.leave(gone);
    world.pass(1_000);
    expect(gone.sent).toBe(0);
    expect(left.sent).toBeGreaterThan(0.9 * RATE);
  });
});
