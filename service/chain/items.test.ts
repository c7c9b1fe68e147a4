import fc from "fast-check";
import { expect, test } from "vitest";
import type { Hash, JobId } from "../../core/ids.ts";
import { accountOf } from "./chain.fixture.ts";
import type { Content } from "./content.ts";
import { createItemStore } from "./items.ts";

const HASHES = ["a", "b", "c", "d"].map((digit) => digit.repeat(64) as Hash);
const contentOf = (hash: Hash): Content => ({
  tag: "snark",
  snark: { jobId: hash as string as JobId, hash, fee: 1n, prover: accountOf(0) },
});
const bytesOf = (hash: Hash): Uint8Array => Uint8Array.from(hash, (digit) => digit.charCodeAt(0));

const hash = fc.constantFrom(...HASHES);
const step = fc.oneof(
  fc.record({ tag: fc.constant("hold" as const), hash }),
  fc.record({ tag: fc.constant("release" as const), hash }),
  fc.record({ tag: fc.constant("supply" as const), hash }),
  fc.record({ tag: fc.constant("learn" as const), hash }),
  fc.record({ tag: fc.constant("pin" as const), hashes: fc.uniqueArray(hash) }),
  // One of those that pinned, by its place.
  fc.record({ tag: fc.constant("unpin" as const), which: fc.nat() }),
);

test("items: exactly what the pool holds or somebody pins is kept, as soon as its bytes came", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const store = createItemStore();
      const held = new Set<Hash>();
      const pinners: Hash[][] = [];
      const withBytes = new Set<Hash>();
      const isPinned = (one: Hash): boolean => pinners.some((pinned) => pinned.includes(one));
      for (const next of steps) {
        switch (next.tag) {
          case "hold":
            store.hold({ hash: next.hash, bytes: bytesOf(next.hash) }, contentOf(next.hash));
            held.add(next.hash);
            withBytes.add(next.hash);
            break;
          case "release":
            store.release(next.hash);
            held.delete(next.hash);
            break;
          case "supply":
            store.supply({ hash: next.hash, bytes: bytesOf(next.hash) });
            if (isPinned(next.hash)) withBytes.add(next.hash);
            break;
          case "learn":
            store.learn(next.hash, contentOf(next.hash));
            break;
          case "pin":
            store.pin(next.hashes);
            pinners.push(next.hashes);
            break;
          case "unpin": {
            const [unpinned] = pinners.splice(next.which % Math.max(1, pinners.length), 1);
            if (unpinned !== undefined) store.unpin(unpinned);
          }
        }
        for (const one of HASHES) if (!held.has(one) && !isPinned(one)) withBytes.delete(one);
        const kept = HASHES.filter((one) => store.get(one) !== undefined);
        expect(kept).toEqual(HASHES.filter((one) => withBytes.has(one)));
        expect(store.size).toBe(kept.length);
        for (const one of kept) expect(store.get(one)?.bytes).toEqual(bytesOf(one));
        expect(new Set(Array.from(store.held(), ([one]) => one))).toEqual(held);
      }
    }),
    { numRuns: 500 },
  );
});

test("items: bytes that are there are not replaced, and bytes that nobody needs are not taken", () => {
  const store = createItemStore();
  const [first = "" as Hash] = HASHES;
  store.supply({ hash: first, bytes: Uint8Array.of(1) });
  expect(store.get(first)).toBeUndefined();
  store.pin([first]);
  store.supply({ hash: first, bytes: Uint8Array.of(1) });
  store.supply({ hash: first, bytes: Uint8Array.of(2) });
  expect(store.get(first)).toEqual({ bytes: Uint8Array.of(1), content: null });
  store.learn(first, contentOf(first));
  expect(store.get(first)).toEqual({ bytes: Uint8Array.of(1), content: contentOf(first) });
});
