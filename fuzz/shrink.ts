import type { FaultName } from "./faults.ts";
import { runScenario } from "./fuzz-run.ts";
import { type Scenario, type ScenarioEvent, UNLIMITED } from "./scenario-arbitrary.ts";

/** A run that fails, made smaller. */
export interface Shrunk {
  readonly scenario: Scenario;
  readonly failure: string;
  /** Scenarios that were tried. */
  readonly tries: number;
}

/**
 * Looks for the smallest scenario that fails: without events, from long runs of them to single ones (ddmin of Zeller and
 * Hildebrandt), without faults, with fewer nodes. Any failure counts, not only the first.
 *
 * @param isOver asked before every try: true ends the search
 * @param judge what is wrong with a scenario
 * @returns null if it does not fail
 */
export function shrink(
  from: Scenario,
  isOver: () => boolean,
  judge = (scenario: Scenario): string | null => runScenario(scenario).failure,
): Shrunk | null {
  const failure = judge(from);
  if (failure === null) return null;
  let best: Shrunk = { scenario: from, failure, tries: 1 };
  /** @returns true if it fails as well: then it is what is looked at from now on */
  const fails = (changes: Partial<Scenario>): boolean => {
    if (isOver()) return false;
    const scenario = { ...best.scenario, ...changes };
    const found = judge(scenario);
    const tries = best.tries + 1;
    best = found === null ? { ...best, tries } : { scenario, failure: found, tries };
    return found !== null;
  };
  for (let before = Number.POSITIVE_INFINITY; sizeOf(best.scenario) < before && !isOver(); ) {
    before = sizeOf(best.scenario);
    fewerEvents(
      () => best.scenario.events,
      (events) => fails({ events }),
    );
    for (const name of Object.keys(best.scenario.faults) as FaultName[])
      if (best.scenario.faults[name] > 0) fails({ faults: { ...best.scenario.faults, [name]: 0 } });
    while (best.scenario.nodes > 2 && fails({ nodes: best.scenario.nodes - 1 }));
    if (best.scenario.extraDials.length > 0) fails({ extraDials: [] });
    if (best.scenario.workers.length > 0) fails({ workers: [] });
    if (best.scenario.isBatchOnly) fails({ isBatchOnly: false });
    if (best.scenario.capacities.some((capacity) => capacity < UNLIMITED))
      fails({ capacities: best.scenario.capacities.map(() => UNLIMITED) });
  }
  return best;
}

/**
 * Leaves out liars as long as the run fails without them.
 *
 * @param judge what is wrong with a run that has only these
 * @returns null if it does not fail with all of them
 */
export function shrinkLiars(
  from: readonly string[],
  isOver: () => boolean,
  judge: (liars: readonly string[]) => string | null,
): { readonly liars: readonly string[]; readonly failure: string } | null {
  const failure = judge(from);
  if (failure === null) return null;
  let best = { liars: from, failure };
  for (const name of from) {
    const liars = best.liars.filter((other) => other !== name);
    const found = isOver() || liars.length === 0 ? null : judge(liars);
    if (found !== null) best = { liars, failure: found };
  }
  return best;
}

/** What each step of the search makes smaller. */
const sizeOf = ({ events, faults, nodes, extraDials, workers, capacities }: Scenario): number =>
  events.length +
  Object.values(faults).filter((strength) => strength > 0).length +
  nodes +
  extraDials.length +
  workers.length +
  capacities.filter((capacity) => capacity < UNLIMITED).length;

function fewerEvents(
  events: () => readonly ScenarioEvent[],
  fails: (events: readonly ScenarioEvent[]) => boolean,
): void {
  for (let length = Math.ceil(events().length / 2); length >= 1; length = Math.floor(length / 2)) {
    for (let at = 0; at < events().length; ) {
      if (!fails(events().toSpliced(at, length))) at += length;
    }
  }
}
