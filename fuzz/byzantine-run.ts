import type { Reason, Rejection } from "../core/reasons.ts";
import type { Behaviour } from "./byzantine/behaviour.ts";
import { BEHAVIOURS, type LiarResult, playByzantine } from "./byzantine.ts";
import { createRandom } from "./sim-random.ts";
import type { ClusterObserver } from "./simulator.ts";

const HONEST = 3;
const LIARS = 3;
const VICTIMS = [0, 1];
const ROUNDS = 2;

/** Three liars, each with one behaviour: it has to end as that says, with both whom it dials. */
export function playByzantineSeed(
  seed: number,
  observers: readonly ClusterObserver[] = [],
): readonly string[] {
  const drawn = drawBehaviours(seed);
  // What one needs of the honest nodes' pools would change what another may end in.
  const alone = drawn.filter(isParticular).map((behaviour) => [behaviour]);
  const together = drawn.filter((behaviour) => !isParticular(behaviour));
  return [together, ...alone].flatMap((behaviours) => playTogether(seed, behaviours, observers));
}

const isParticular = (behaviour: Behaviour): boolean =>
  behaviour.place === "connection" && behaviour.needs !== undefined;

function playTogether(
  seed: number,
  behaviours: readonly Behaviour[],
  observers: readonly ClusterObserver[],
): readonly string[] {
  if (behaviours.length === 0) return [];
  const plans = behaviours.map((behaviour, number) => ({
    node: HONEST + number,
    behaviours: [behaviour],
    victims: VICTIMS,
  }));
  const { broken, liars } = playByzantine({
    seed,
    nodes: HONEST + plans.length,
    liars: plans,
    rounds: ROUNDS,
    observers,
  });
  return [...broken, ...liars.flatMap(wrongEnd)];
}

/** All behaviours come once, in an order drawn anew, before any comes again. */
function drawBehaviours(seed: number): readonly Behaviour[] {
  const seedsPerRound = Math.ceil(BEHAVIOURS.length / LIARS);
  const round = Math.floor((seed - 1) / seedsPerRound);
  const random = createRandom(round);
  const left = [...BEHAVIOURS];
  const drawn = BEHAVIOURS.flatMap(() => left.splice(random.int(left.length), 1));
  const from = LIARS * (seed - 1 - round * seedsPerRound);
  return drawn.slice(from, from + LIARS);
}

function wrongEnd({ behaviours, endings, rejections }: LiarResult): readonly string[] {
  return behaviours.flatMap((behaviour) => {
    const { name, place, endsIn } = behaviour;
    if (place === "signal" && !rejections.includes(endsIn as Rejection))
      return [`"${name}" was not refused for ${endsIn}, but [${rejections}]`];
    const expected = place === "connection" && endsIn !== null ? VICTIMS.map(() => endsIn) : [];
    const ours = endings.filter(({ by }) => by === "us").filter(({ reason }) => !isBorne(behaviour, reason));
    const reasons = ours.map(({ reason }) => reason);
    const victims = new Set(ours.map(({ honest }) => honest));
    const isRight = reasons.every((reason) => reason === expected[0]) && victims.size === expected.length;
    return isRight ? [] : [`"${name}" ended in [${reasons}] and not in [${expected}]`];
  });
}

/** A block makes room in a full pool: what the liar has announced is asked for then, and it does not have it. */
const isBorne = (behaviour: Behaviour, reason: Reason): boolean =>
  behaviour.endsIn === null && isParticular(behaviour) && reason === "doesNotHave";
