import { expect, test } from "vitest";
import { runs } from "../runs.ts";
import { playRelay } from "./relay.ts";

test("P11, P13: nodes that know only one seed find enough peers, whatever fails meanwhile", () => {
  for (let seed = 1; seed <= runs(4); seed++) expect(playRelay(seed, []), `seed ${seed}`).toEqual([]);
});
