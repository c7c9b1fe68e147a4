import { FAULT_NAMES, type Faults } from "./faults.ts";
import { type Scenario, type ScenarioEvent, UNLIMITED } from "./scenario-arbitrary.ts";
import { accountOf } from "./sim-items.ts";
import { createRandom, type Random } from "./sim-random.ts";

/** Pools of which most overflow; several messages of infos are needed to tell one what another holds. */
const CAPACITIES = [3, 6, 12, 40, UNLIMITED] as const;
const STEPS = [60, 140] as const;
const STRENGTH = 5;
const SENDERS = 60;
const FEES = 2_000;

/**
 * The convergence model of pitfalls.md: many more items than the small pools hold, blocks that take many of them at
 * once, branches, and connections that break while all this is told.
 */
export function drawCrowded(seed: number): Scenario {
  const random = createRandom(seed);
  const nodes = random.between(2, 5);
  const node = (): number => random.int(nodes);
  const faults = Object.fromEntries(FAULT_NAMES.map((name) => [name, 0])) as Faults;
  const strength = (): number => (random.chance(0.5) ? STRENGTH : 0);
  // Blocks on other branches, new floors and new connections repair much: without them it must go well too.
  const isCalm = random.chance(0.3);
  const events = Array.from({ length: random.between(...STEPS) }, () => drawEvents(random, node)).flat();
  return {
    seed,
    nodes,
    parents: Array.from({ length: nodes }, node),
    extraDials: random.chance(0.5) ? [[node(), node()]] : [],
    capacities: Array.from({ length: nodes }, () =>
      isCalm ? UNLIMITED : (CAPACITIES[random.int(CAPACITIES.length)] ?? UNLIMITED),
    ),
    workers: [],
    isBatchOnly: false,
    transactionsMax: random.between(2, 15),
    faults: { ...faults, cut: strength(), far: strength(), reorg: strength(), restart: random.int(2) },
    events: [
      ...(isCalm || random.chance(0.5) ? drawBurst(random, node) : []),
      ...events.filter(({ tag }) => !isCalm || tag === "submit" || tag === "run"),
    ],
  };
}

function drawEvents(random: Random, node: () => number): readonly ScenarioEvent[] {
  const run = { tag: "run", ms: random.chance(0.2) ? random.int(4_000) : random.int(100) } as const;
  if (random.chance(0.06)) return [{ tag: "produce", node: node(), back: random.chance(0.3) ? 1 : 0 }, run];
  if (random.chance(0.02)) return [{ tag: "cut", link: random.int(9), isSilent: random.chance(0.3) }, run];
  if (random.chance(0.01)) return [{ tag: "restart", node: node() }, run];
  return [drawSubmit(random, node()), run];
}

/** Before anybody is connected: more than fits into one message. */
function drawBurst(random: Random, node: () => number): readonly ScenarioEvent[] {
  const one = node();
  const at = random.chance(0.5) ? () => one : node;
  return Array.from({ length: random.between(40, 110) }, () => drawSubmit(random, at()));
}

function drawSubmit(random: Random, node: number): ScenarioEvent {
  const transaction = {
    fee: BigInt(random.int(FEES)),
    sender: accountOf(random.int(SENDERS)),
    nonce: random.int(4),
    fromHeight: random.chance(0.1) ? random.int(6) : 0,
    verdict: "valid",
    salt: random.int(1_000_000),
  } as const;
  return { tag: "submit", node, transaction };
}
