import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clearDeadline, type Deadlines, firstDeadline, noDeadlines, setDeadline } from "./deadlines.ts";

type Op = { readonly name: string; readonly atMs: number | null };

const ops: fc.Arbitrary<readonly Op[]> = fc.array(
  fc.record({
    name: fc.constantFrom("a", "b", "a b", "ping 1", "ping 10", "rpc 0 1"),
    atMs: fc.option(fc.oneof(fc.nat(20), fc.integer({ min: 0, max: 2 ** 45 })), { nil: null }),
  }),
  { maxLength: 60 },
);

const apply = (deadlines: Deadlines<string>, { name, atMs }: Op): Deadlines<string> =>
  atMs === null ? clearDeadline(deadlines, name) : setDeadline(deadlines, { name, atMs, action: `${name}!` });

describe("deadlines", () => {
  test("what is due first is the least time, then the least name, whatever the order of setting", () => {
    fc.assert(
      fc.property(ops, (all) => {
        const model = new Map<string, number>();
        let deadlines = noDeadlines<string>();
        for (const op of all) {
          deadlines = apply(deadlines, op);
          if (op.atMs === null) model.delete(op.name);
          else model.set(op.name, op.atMs);
          const [first] = [...model].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1));
          expect(firstDeadline(deadlines)?.name).toBe(first?.[0]);
          expect(firstDeadline(deadlines)?.atMs).toBe(first?.[1]);
          expect(deadlines.byTime.size).toBe(model.size);
          expect(deadlines.byName.size).toBe(model.size);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("setting a name again replaces it, time and action", () => {
    const first = setDeadline(noDeadlines<string>(), { name: "a", atMs: 5, action: "old" });
    const second = setDeadline(first, { name: "a", atMs: 50, action: "new" });
    expect([...second.byTime.values()]).toEqual([{ name: "a", atMs: 50, action: "new" }]);
    expect(firstDeadline(first)?.action).toBe("old");
  });

  test("clearing a name that is not set changes nothing at all", () => {
    const deadlines = setDeadline(noDeadlines<string>(), { name: "a", atMs: 5, action: "x" });
    expect(clearDeadline(deadlines, "b")).toBe(deadlines);
    expect(firstDeadline(clearDeadline(deadlines, "a"))).toBeUndefined();
  });

  test("times of different lengths are in numeric order", () => {
    let deadlines = noDeadlines<string>();
    for (const atMs of [1e15, 999, 10_000_000_000_000, 0]) {
      deadlines = setDeadline(deadlines, { name: String(atMs), atMs, action: "x" });
    }
    const order = [...deadlines.byTime.values()].map(({ atMs }) => atMs);
    expect(order).toEqual([0, 999, 10_000_000_000_000, 1e15]);
  });
});
