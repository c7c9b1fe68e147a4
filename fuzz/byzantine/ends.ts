import type { Reason, Rejection } from "../../core/reasons.ts";
import type { Behaviour, ConnectionBehaviour } from "./behaviour.ts";

/** What liars come to, and whether it is what they should come to. */

export interface LiarPlan {
  readonly node: number;
  /** All of them on the same connections: what one changes the next is given. */
  readonly behaviours: readonly Behaviour[];
  /** The honest nodes that it dials; all if nothing is said. */
  readonly victims?: readonly number[];
}

export interface LiarResult extends LiarPlan {
  /** How connections with it ended, on the honest side, and what its offers were answered with. */
  readonly endings: readonly LiarEnding[];
  readonly rejections: readonly Rejection[];
  readonly notes: ReadonlyMap<string, number>;
  /** How often an honest node got ready with it. */
  readonly connected: number;
  /** Honest nodes that hold something against its key. */
  readonly punishers: number;
}

export interface LiarEnding {
  readonly honest: number;
  readonly by: "us" | "them" | "world";
  readonly reason: Reason;
}

/**
 * What an honest side may say when it ends a connection with this liar; null: it may not end it. A liar with several
 * behaviours is ended for the first that is found out.
 */
export const reasonsOf = ({ behaviours }: LiarPlan): readonly (Reason | null)[] => [
  ...new Set(behaviours.map((behaviour) => (behaviour.place === "connection" ? behaviour.endsIn : null))),
];

/** @returns what became of a liar with one behaviour that should not have */
export function wrongEnds(liar: LiarResult): readonly string[] {
  const [behaviour] = liar.behaviours;
  if (behaviour === undefined) return [];
  const wrong = wrongEndOf(behaviour, liar);
  return wrong === null ? [] : [`"${behaviour.name}" ${wrong}`];
}

function wrongEndOf(behaviour: Behaviour, liar: LiarResult): string | null {
  const { rejections, notes, connected } = liar;
  switch (behaviour.place) {
    case "signal":
      return rejections.includes(behaviour.endsIn)
        ? wrongPenaltyOf(behaviour, liar)
        : `was not refused for ${behaviour.endsIn}, but [${rejections}]`;
    case "attempt":
      if (connected > 0) return `has led to ${connected} connections`;
      return notes.has("forged") ? wrongPenaltyOf(behaviour, liar) : "was never tried";
    case "connection":
      return (
        wrongReasonOf(behaviour, liar) ?? wrongNoteOf(behaviour, liar) ?? wrongPenaltyOf(behaviour, liar)
      );
  }
}

function wrongReasonOf(behaviour: ConnectionBehaviour, { endings, victims = [] }: LiarResult): string | null {
  const { endsIn } = behaviour;
  const expected = endsIn === null ? [] : victims.map(() => endsIn);
  const ours = endings.filter(({ by, reason }) => by === "us" && !isBorne(behaviour, reason));
  const reasons = ours.map(({ reason }) => reason);
  const ended = new Set(ours.map(({ honest }) => honest)).size;
  const isRight = reasons.every((reason) => reason === endsIn) && ended === expected.length;
  return isRight ? null : `ended in [${reasons}] and not in [${expected}]`;
}

function wrongNoteOf(
  { notes: expected = {} }: ConnectionBehaviour,
  { notes, victims = [] }: LiarResult,
): string | null {
  for (const [name, [least, most]] of Object.entries(expected)) {
    const count = notes.get(name) ?? 0;
    if (count < least * victims.length || count > most * victims.length)
      return `has noted "${name}" ${count} times`;
  }
  return null;
}

/** Who has done harm is remembered, and nobody else. */
function wrongPenaltyOf(behaviour: Behaviour, { punishers, victims = [] }: LiarResult): string | null {
  if (isBorne(behaviour, "doesNotHave")) return null;
  const isPunished = behaviour.place === "connection" && behaviour.endsIn !== null && !behaviour.isStranger;
  const expected = isPunished ? victims.length : 0;
  return punishers === expected ? null : `was punished by ${punishers} and not by ${expected}`;
}

/** A block makes room in a full pool: what the liar has announced is asked for then, and it does not have it. */
const isBorne = (behaviour: Behaviour, reason: Reason): boolean =>
  behaviour.place === "connection" &&
  behaviour.endsIn === null &&
  behaviour.needs !== undefined &&
  reason === "doesNotHave";
