import { expect, test } from "vitest";
import { playSlots } from "./slots.ts";

test("P25, P34: slots are never too many, there is one for an own dial, and a free one is given away", () => {
  for (const seed of [1, 2]) expect(playSlots(seed, [])).toEqual([]);
});
