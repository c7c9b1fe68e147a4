import { sha256 } from "@noble/hashes/sha2.js";
import fc, { type Arbitrary } from "fast-check";
import { ascii, toHex } from "../core/bytes.ts";
import { stateHash } from "../core/state-hash.ts";
import { playByzantineSeed } from "./byzantine-run.ts";
import { drawCrowded } from "./crowded.ts";
import { FAULT_NAMES, type FaultName } from "./faults.ts";
import { brokenPromises } from "./promises.ts";
import { play } from "./scenario.ts";
import { type Scenario, type ScenarioKinds, scenarioArbitrary } from "./scenario-arbitrary.ts";
import { SCENES, type Scene } from "./scenes.ts";
import { type Cluster, type ClusterObserver, START_MS } from "./simulator.ts";

/** What a run is drawn from, together with its seed. */
export interface FuzzOptions {
  readonly scenario: ScenarioName;
  readonly faults: readonly FaultName[];
  /** Exactly so many; null: as the seed says. */
  readonly nodes: number | null;
  /** Of the scenario byzantine these liars and trials alone, by their names; null: as the seed says. */
  readonly liars: readonly string[] | null;
}

/** Scenarios whose runs are data, which can be shrunk and saved. */
const DRAWN = {
  pools: { about: "transactions of rival senders, and pools of any capacity" },
  chain: { about: "the same with blocks and SNARK work" },
  crowded: { about: "more items than fit into pools and messages" },
} as const;

/** Scenarios whose runs follow from the seed alone. */
const SEEDED = {
  byzantine: { about: "three peers that break the protocol, each differently", play: playByzantineSeed },
  ...SCENES,
} as const satisfies Readonly<Record<string, Scene>>;

/** What happens in a run besides faults. */
export const SCENARIOS = { ...DRAWN, ...SEEDED } as const;

export type ScenarioName = keyof typeof SCENARIOS;

export const SCENARIO_NAMES = Object.keys(SCENARIOS) as readonly ScenarioName[];

export const DEFAULT_OPTIONS: FuzzOptions = {
  scenario: "chain",
  faults: FAULT_NAMES,
  nodes: null,
  liars: null,
};

export interface RunResult {
  /**
   * Of all inputs with their times and actions; in a scenario that can be saved also of the last states, else of the
   * seed: equal runs have equal digests.
   */
  readonly digest: string;
  readonly inputs: number;
  /** That passed in the simulation. */
  readonly virtualMs: number;
  /** Action types, and who ended a connection for which reason, in order. */
  readonly seen: readonly string[];
  /** The law that was broken; null: none. */
  readonly failure: string | null;
}

/** Plays a seed with every checker on. Never throws. @param observers who else watches */
export const runSeed = (
  seed: number,
  options: FuzzOptions,
  observers: readonly ClusterObserver[] = [],
): RunResult => {
  const { scenario, liars } = options;
  if (hasScenario(scenario)) return runScenario(scenarioOf(seed, options), observers);
  return runScene(seed, SEEDED[scenario], liars, observers);
};

/** Its runs are data, which can be shrunk and saved; those of other scenarios follow from the seed alone. */
export const hasScenario = (name: ScenarioName): name is keyof typeof DRAWN => name in DRAWN;

/** Its faults and nodes can be chosen. */
export const hasChoices = (name: ScenarioName): boolean => name === "pools" || name === "chain";

/** The scenario of a seed: the same on every machine. */
export function scenarioOf(seed: number, options: FuzzOptions): Scenario {
  if (options.scenario === "crowded") return drawCrowded(seed);
  let found: Scenario | undefined;
  const take = fc.property(arbitraryOf(options), (scenario) => {
    found = scenario;
  });
  fc.assert(take, { seed, numRuns: 1 });
  if (found === undefined) throw new Error("a property is run once");
  return found;
}

/** Plays a scenario with every checker on. Never throws. */
export function runScenario(scenario: Scenario, observers: readonly ClusterObserver[] = []): RunResult {
  const watch = createWatch();
  return watch.judged(() => {
    const played = play(scenario, { observers: [watch.observer, ...observers] });
    watch.end(played.cluster);
    return brokenPromises(played);
  });
}

function runScene(
  seed: number,
  { play: scene }: Scene,
  liars: readonly string[] | null,
  observers: readonly ClusterObserver[],
): RunResult {
  const watch = createWatch();
  return watch.judged(() => {
    watch.note(`${seed}`);
    return scene(seed, [watch.observer, ...observers], liars);
  });
}

/** What a run has found, or what it threw; null: nothing. */
export function problemsOf(run: () => readonly string[]): string | null {
  try {
    return run().join("; ") || null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Counts what happens in a run, and makes its digest. */
function createWatch() {
  const seen = new Set<string>();
  const chain = sha256.create();
  let [inputs, lastMs] = [0, START_MS];
  const observer: ClusterObserver = {
    after: ({ index, life, state }, _input, { actions }) => {
      inputs += 1;
      lastMs = Math.max(lastMs, state.timeMs);
      for (const action of actions) {
        seen.add(action.type);
        if (action.type === "connection/ended") seen.add(`${action.by} ${action.reason}`);
      }
      note(`${index}.${life} ${state.timeMs} ${actions.map(({ type }) => type)}\n`);
    },
  };
  const note = (text: string): void => {
    chain.update(ascii(text));
  };
  return {
    observer,
    note,
    end: ({ nodes }: Cluster): void => {
      for (const { state } of nodes) note(stateHash(state));
    },
    judged: (run: () => readonly string[]): RunResult => {
      const failure = problemsOf(run);
      return {
        digest: toHex(chain.digest()),
        inputs,
        virtualMs: lastMs - START_MS,
        seen: [...seen].sort(),
        failure,
      };
    },
  };
}

/** Unbiased: fast-check would begin with the smallest values, and each seed is run once. */
const arbitraryOf = (options: FuzzOptions): Arbitrary<Scenario> =>
  fc.noBias(scenarioArbitrary(kindsOf(options)));

const kindsOf = ({ scenario, faults, nodes }: FuzzOptions): ScenarioKinds => ({
  faults,
  blocks: scenario === "chain",
  capacities: "mixed",
  nodes: nodes ?? undefined,
});
