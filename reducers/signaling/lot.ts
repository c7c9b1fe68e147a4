import { drawInt } from "../../core/rng.ts";
import type { StateDraft } from "../rules.ts";

/** Some of them, drawn one after the other, each as likely as any other: nobody is first because of his key. */
export function byLot<T>(draft: StateDraft, all: readonly T[], most: number): readonly T[] {
  const left = [...all];
  const drawn: T[] = [];
  while (drawn.length < most && left.length > 0) drawn.push(...left.splice(drawInt(draft, left.length), 1));
  return drawn;
}
