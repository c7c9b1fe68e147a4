import type { Behaviour, Trial } from "./byzantine/behaviour.ts";
import { wrongEnds } from "./byzantine/ends.ts";
import { ITEM_TRIALS } from "./byzantine/item-trials.ts";
import { KEY_TRIALS } from "./byzantine/key-trials.ts";
import { OFFER_TRIALS } from "./byzantine/offer-trials.ts";
import { RELAY_TRIALS } from "./byzantine/relay-trials.ts";
import { BEHAVIOURS, playByzantine } from "./byzantine.ts";
import { createRandom } from "./sim-random.ts";
import type { ClusterObserver } from "./simulator.ts";

/** What is tried besides, one of them with each seed. */
export const TRIALS: readonly Trial[] = [...OFFER_TRIALS, ...KEY_TRIALS, ...ITEM_TRIALS, ...RELAY_TRIALS];

const HONEST = 3;
const LIARS = 3;
const VICTIMS = [0, 1];
const ROUNDS = 2;

/** Of all behaviours and trials. */
export const LIAR_NAMES: readonly string[] = [...BEHAVIOURS, ...TRIALS].map(({ name }) => name);

/** The liars and the trial of a seed. */
export const liarsOf = (seed: number): readonly string[] =>
  [...drawBehaviours(seed), ...trialOf(seed)].map(({ name }) => name);

/**
 * Three liars, each with one behaviour: it has to end as that says, with both whom it dials. And a trial.
 *
 * @param only these liars and trials; null: those of the seed
 */
export function playByzantineSeed(
  seed: number,
  observers: readonly ClusterObserver[] = [],
  only: readonly string[] | null = null,
): readonly string[] {
  const drawn = only === null ? drawBehaviours(seed) : named(BEHAVIOURS, only);
  const trials = only === null ? trialOf(seed) : named(TRIALS, only);
  // What one needs of the honest nodes' pools would change what another may end in.
  const alone = drawn.filter(isParticular).map((behaviour) => [behaviour]);
  const together = drawn.filter((behaviour) => !isParticular(behaviour));
  return [
    ...[together, ...alone].flatMap((behaviours) => playTogether(seed, behaviours, observers)),
    ...trials.flatMap((trial) => trial.play(seed, observers)),
  ];
}

/** In the order of the names: to play the liars of a seed by name is to play the seed. */
const named = <One extends { readonly name: string }>(
  all: readonly One[],
  names: readonly string[],
): readonly One[] => names.flatMap((wanted) => all.filter(({ name }) => name === wanted));

function trialOf(seed: number): readonly Trial[] {
  const at = seed % TRIALS.length;
  return TRIALS.slice(at, at + 1);
}

const isParticular = (behaviour: Behaviour): boolean =>
  behaviour.place === "connection" && (behaviour.needs !== undefined || behaviour.isRival === true);

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
  return [...broken, ...liars.flatMap(wrongEnds)];
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
