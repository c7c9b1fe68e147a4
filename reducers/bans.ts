import type { Command } from "../core/actions.ts";
import { addressGroup } from "../core/address.ts";
import { type Ban, type BanSubject, FOREVER_MS, formatSubject } from "../core/bans.ts";
import { OPERATOR_BANS_MAX } from "../core/limits.ts";
import type { CommandResult } from "../core/services.ts";
import type { Attempt, State } from "../core/state.ts";
import { abandon } from "./attempts.ts";
import { banGroup, banKey, pardon } from "./penalties.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { livePeer } from "./state.ts";
import { redialAfter } from "./targets.ts";

/** What the operator sees of bans and changes about them. */

type BanCommand = Extract<Command, { type: "command/ban" | "command/unban" }>;

export const bans: Rules<BanCommand> = {
  "command/ban": {
    enabled: () => true,
    reduce: (draft, { requestId, subject, forMs }, context) => {
      const untilMs = forMs === null ? FOREVER_MS : Math.min(FOREVER_MS, draft.timeMs + forMs);
      const refusal = banRefusal(draft, subject);
      if (refusal === null) {
        impose(draft, { subject, untilMs, reason: "operator" });
        expel(draft, subject, context);
      }
      const result = refusal ?? ({ tag: "banned", ban: { subject, untilMs, reason: "operator" } } as const);
      context.effect({ type: "effect/answerCommand", requestId, result });
    },
  },

  "command/unban": {
    enabled: () => true,
    reduce: (draft, { requestId, subject }, { effect }) => {
      const isBanned = banOf(draft, subject) !== undefined;
      lift(draft, subject);
      const result: CommandResult = isBanned
        ? { tag: "unbanned" }
        : { tag: "notFound", detail: `${formatSubject(subject)} is not banned` };
      effect({ type: "effect/answerCommand", requestId, result });
    },
  },
};

/** All bans that run, groups first, each kind in order. */
export const listBans = (state: State): readonly Ban[] => [...groupBans(state), ...keyBans(state)];

/** The state with the bans that a former process has left, as far as they still run. */
export function withBans(state: State, kept: readonly Ban[]): State {
  const draft: StateDraft = { ...state };
  for (const ban of kept) if (ban.untilMs > state.timeMs) impose(draft, ban);
  return draft;
}

function banRefusal(state: State, subject: BanSubject): CommandResult | null {
  if (subject.tag === "key" && subject.peerId === state.config.peerId)
    return { tag: "invalid", detail: "that is the key of this node itself" };
  const theirs = listBans(state).filter(({ reason }) => reason === "operator");
  if (theirs.length < OPERATOR_BANS_MAX || banOf(state, subject)?.reason === "operator") return null;
  return { tag: "unavailable", detail: `${OPERATOR_BANS_MAX} bans of the operator are in force already` };
}

function impose(draft: StateDraft, { subject, untilMs, reason }: Ban): void {
  if (subject.tag === "key") banKey(draft, subject.peerId, untilMs, reason);
  else banGroup(draft, subject.group, untilMs, reason);
}

/** Whoever is banned is disconnected, however far it has come. What is to be kept connected is dialed when the ban ends. */
function expel(draft: StateDraft, subject: BanSubject, context: Context): void {
  const detail = `the operator has banned ${formatSubject(subject)}`;
  for (const attempt of draft.attempts.values()) {
    const isMeant =
      subject.tag === "key" ? attempt.peerId === subject.peerId : groupOf(attempt) === subject.group;
    if (isMeant) abandon(attempt.id, "operator", detail, context);
  }
}

/** The address group of an attempt's peer, if known. The address of a relay is not that of the peer it named. */
function groupOf({ selected, remote, requestId, target }: Attempt): string | undefined {
  if (selected !== null) return selected.group;
  return requestId !== null || target !== null ? remote?.group : undefined;
}

/** What is to be kept connected and had to wait for the ban is dialed now. */
function lift(draft: StateDraft, subject: BanSubject): void {
  if (subject.tag === "group") draft.groups = draft.groups.delete(subject.group);
  else pardon(draft, subject.peerId);
  if (draft.stopping) return;
  for (const [key, target] of draft.targets.entries()) {
    const { peerId, host } = target.address;
    const isMeant = subject.tag === "key" ? peerId === subject.peerId : addressGroup(host) === subject.group;
    if (isMeant && livePeer(draft, peerId) === undefined) redialAfter(draft, key, target, 0);
  }
}

function banOf(state: State, subject: BanSubject): Ban | undefined {
  const known = subject.tag === "key" ? state.offenders.get(subject.peerId) : state.groups.get(subject.group);
  const { bannedUntilMs = 0, bannedFor = null } = known ?? {};
  if (bannedUntilMs <= state.timeMs) return undefined;
  return { subject, untilMs: bannedUntilMs, reason: bannedFor ?? "operator" };
}

function groupBans(state: State): readonly Ban[] {
  return [...state.groups.keys()].flatMap((group) => banOf(state, { tag: "group", group }) ?? []);
}

function keyBans(state: State): readonly Ban[] {
  return [...state.offenders.keys()].flatMap((peerId) => banOf(state, { tag: "key", peerId }) ?? []);
}
