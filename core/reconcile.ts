import type { Range } from "./channels/rpc.ts";
import {
  RECONCILE_IDS_MAX,
  RECONCILE_OPENING_IDS,
  RECONCILE_PLAIN_MAX,
  RECONCILE_RANGES_MAX,
  RECONCILE_SPLIT,
} from "./limits.ts";
import {
  equalFingerprints,
  type Fingerprint,
  fingerprintOf,
  fingerprintOfIds,
  hasId,
  ID_MAX,
  idsWithin,
  isWithin,
  type SetIndex,
  type Span,
  splitByCount,
} from "./set-index.ts";

/**
 * What the asker does not know yet: which ids of a span the peer has. Or, with `guessedIn`, whether the peer has the
 * one id `from` = `to`, which would explain all that differs in that span. In a list they are sorted and disjoint.
 */
export interface Question extends Span {
  readonly guessedIn: Span | null;
}

export interface Learned {
  /** Ids that the peer has and we lack. None is told twice in the course of a reconciliation. */
  readonly missing: readonly bigint[];
  /** What takes the place of the questions; empty when everything is known. */
  readonly again: readonly Question[];
}

/**
 * What the asker begins with. Few and wide: for every question that differs the peer sends all its parts, those that
 * are equal too. A small set of ours says nothing of the peer's, whose counts then tell whether to ask for plain ids.
 */
export function openingQuestions(index: SetIndex): readonly Question[] {
  const parts = Math.ceil(index.ids.length / RECONCILE_OPENING_IDS);
  return divided({ from: 0n, to: ID_MAX }, Math.min(Math.max(parts, 1), RECONCILE_SPLIT));
}

/** The request for as many of the questions as fit. */
export const questionRanges = (index: SetIndex, questions: readonly Question[]): readonly Range[] =>
  questions.slice(0, RECONCILE_RANGES_MAX).map(({ from, to, guessedIn }) => {
    const guess = { count: 1, xor: from, sum: from };
    const fingerprint = guessedIn === null ? fingerprintOf(index, { from, to }) : guess;
    return { from, to, body: { tag: "fingerprint", ...fingerprint } };
  });

/**
 * The responder: ranges that are equal are left out, few ids are told, many are split into fingerprints of equal
 * numbers of them. It stops at the first range whose answer does not fit any more.
 */
export function answerRanges(index: SetIndex, ranges: readonly Range[]): readonly Range[] {
  const answer: Range[] = [];
  let idsLeft = RECONCILE_IDS_MAX;
  for (const range of ranges) {
    const { from, to, body } = range;
    const theirs = body.tag === "ids" ? fingerprintOfIds(body.ids) : body;
    const ours = fingerprintOf(index, range);
    if (equalFingerprints(theirs, ours)) continue;
    const isPlain = ours.count <= RECONCILE_PLAIN_MAX;
    if (answer.length + (isPlain ? 1 : RECONCILE_SPLIT) > RECONCILE_RANGES_MAX) break;
    if (isPlain) {
      idsLeft -= ours.count;
      if (idsLeft < 0) break;
      answer.push({ from, to, body: { tag: "ids", ids: idsWithin(index, range) } });
      continue;
    }
    for (const { from, to, ...fingerprint } of splitByCount(index, range, RECONCILE_SPLIT)) {
      answer.push({ from, to, body: { tag: "fingerprint", ...fingerprint } });
    }
  }
  return answer;
}

/**
 * The asker: what the answer to the `questionRanges` of the same questions says. Between honest nodes it takes two or
 * three rounds; against one who answers so that it takes more than RECONCILE_ROUNDS_MAX, the caller has to give up.
 */
export function compareAnswer(
  index: SetIndex,
  questions: readonly Question[],
  answer: readonly Range[],
): Learned {
  const complete = isComplete(answer);
  // What is asked again in parts is no more than fits, for an answer has at most as many ranges (rpc.ts).
  const partsMax = Math.floor(RECONCILE_RANGES_MAX / Math.max(1, answer.length));
  const learned: Learned[] = [];
  let next = 0;
  for (const question of questions.slice(0, RECONCILE_RANGES_MAX)) {
    const inside: Range[] = [];
    for (let range = answer[next]; range !== undefined && range.from <= question.to; range = answer[++next]) {
      // Anything else was not asked for.
      if (range.from >= question.from && range.to <= question.to) inside.push(range);
    }
    if (inside.length === 0) learned.push(whenLeftOut(question, complete));
    else if (question.guessedIn === null) learned.push(whenAnswered(index, question, inside, partsMax));
    else learned.push(whenGuessed(question, question.guessedIn, inside));
  }
  return {
    missing: learned.flatMap(({ missing }) => missing),
    again: [...learned.flatMap(({ again }) => again), ...questions.slice(RECONCILE_RANGES_MAX)],
  };
}

/** An answer that has room for another range left out nothing that differs. */
function isComplete(answer: readonly Range[]): boolean {
  const ids = answer.reduce((sum, { body }) => sum + (body.tag === "ids" ? body.ids.length : 0), 0);
  return (
    answer.length + RECONCILE_SPLIT <= RECONCILE_RANGES_MAX && ids + RECONCILE_PLAIN_MAX <= RECONCILE_IDS_MAX
  );
}

function whenLeftOut(question: Question, complete: boolean): Learned {
  if (!complete) return { missing: [], again: [question] };
  return { missing: question.guessedIn === null ? [] : [question.from], again: [] };
}

function whenGuessed({ from }: Question, guessedIn: Span, inside: readonly Range[]): Learned {
  const isThere = inside.some(({ body }) => body.tag === "ids" && body.ids.includes(from));
  return isThere ? { missing: [from], again: [] } : { missing: [], again: divided(guessedIn, 2) };
}

function whenAnswered(index: SetIndex, question: Span, inside: readonly Range[], partsMax: number): Learned {
  const spread = spreadOf(index, inside);
  const missing: bigint[] = [];
  const again: Question[] = [];
  for (const { from, to, body } of inside) {
    const span = { from, to };
    if (body.tag === "ids") {
      missing.push(...new Set(body.ids.filter((id) => isWithin(id, span) && !hasId(index, id))));
      continue;
    }
    const finding = findingOf(index, span, body);
    if (finding.tag === "missing") missing.push(finding.id);
    if (finding.tag === "guess") again.push({ from: finding.id, to: finding.id, guessedIn: span });
    if (finding.tag !== "open") continue;
    const parts = Math.min(partsFor(body.count, Math.max(finding.differences, spread)), partsMax);
    // What the peer did not make smaller, we do: else this might never end.
    const isWhole = from === question.from && to === question.to;
    again.push(...divided(span, isWhole ? Math.max(parts, 2) : parts));
  }
  return { missing, again };
}

type Finding =
  | { readonly tag: "nothing" }
  | { readonly tag: "missing"; readonly id: bigint }
  | { readonly tag: "guess"; readonly id: bigint }
  /** At least so many ids differ. */
  | { readonly tag: "open"; readonly differences: number };

const NOTHING: Finding = { tag: "nothing" };

/**
 * Where only few ids differ, the differences between the fingerprints tell which. What the peer lacks has to be among
 * our ids, which is no accident. But where it has a and b and lacks c, a + b - c is also a ^ b ^ c once in 2^24 times
 * ((3/4)^58): that it has just this id is a guess.
 */
function findingOf(index: SetIndex, span: Span, theirs: Fingerprint): Finding {
  const ours = fingerprintOf(index, span);
  if (theirs.count === 0 || equalFingerprints(theirs, ours)) return NOTHING;
  const isNew = (id: bigint): boolean => isWithin(id, span) && !hasId(index, id);
  const isOurs = (id: bigint): boolean => isWithin(id, span) && hasId(index, id);
  if (theirs.count === 1 && ours.count === 0) {
    return isNew(theirs.xor) ? { tag: "missing", id: theirs.xor } : NOTHING;
  }
  // Of one id there are no two fingerprints.
  if (span.from === span.to) return NOTHING;
  const count = theirs.count - ours.count;
  const xor = theirs.xor ^ ours.xor;
  const sum = (theirs.sum - ours.sum) & ID_MAX;
  if (count === 1 && xor === sum && isNew(xor)) return { tag: "guess", id: xor };
  if (count === -1 && xor === (-sum & ID_MAX) && isOurs(xor)) return NOTHING;
  if (count === 0) {
    // One of ours replaced by one of theirs.
    const replaced = idsWithin(index, span).filter(
      (id) => (((id ^ xor) - id) & ID_MAX) === sum && isNew(id ^ xor),
    );
    const [id] = replaced;
    if (id !== undefined && replaced.length === 1) return { tag: "guess", id: id ^ xor };
  }
  if (count === -2) {
    // Two of ours, and nothing of theirs.
    const gone = idsWithin(index, span).some(
      (id) => (-(id + (id ^ xor)) & ID_MAX) === sum && isOurs(id ^ xor),
    );
    if (gone) return NOTHING;
  }
  return { tag: "open", differences: Math.max(2, Math.abs(count)) };
}

/**
 * About how many ids differ in each part of an answer: so much do the differences between the counts scatter around
 * their mean, wherever that is.
 */
function spreadOf(index: SetIndex, inside: readonly Range[]): number {
  const counts = inside.flatMap(({ from, to, body }) =>
    body.tag === "fingerprint" ? [body.count - fingerprintOf(index, { from, to }).count] : [],
  );
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / Math.max(1, counts.length);
}

/** Where more than a fifth differs, asking for all ids costs less than finding those that do (measured). */
const PLAIN_SHARE = 5;
/** A part with so many ids on average seldom has more than RECONCILE_PLAIN_MAX: that is two standard deviations off. */
const PLAIN_IDS = 48;
/** Where there are more ids, fingerprints of the peer's parts cost less than ids of ours (measured). */
const WHOLE_IDS = 128;

/**
 * In how many parts to ask for what differs: p parts cost 37 p bytes to ask, and to answer, if d of n ids differ, about
 * 8 n d / p. The sum is least for p = sqrt(8 n d / 37).
 */
function partsFor(count: number, differences: number): number {
  if (count <= PLAIN_SHARE * differences) return Math.max(1, Math.ceil(count / PLAIN_IDS));
  return count > WHOLE_IDS ? 1 : Math.max(1, Math.floor(Math.sqrt((8 * count * differences) / 37)));
}

/** Parts of equal width, for ids lie evenly. */
function divided({ from, to }: Span, parts: number): readonly Question[] {
  const width = to - from + 1n;
  const count = width < parts ? Number(width) : parts;
  const startOf = (part: number): bigint => from + (width * BigInt(part)) / BigInt(count);
  return Array.from({ length: count }, (_, part) => ({
    from: startOf(part),
    to: startOf(part + 1) - 1n,
    guessedIn: null,
  }));
}
