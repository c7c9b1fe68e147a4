import { type Ban, FOREVER_MS, formatSubject } from "../../core/bans.ts";
import type { State } from "../../core/state.ts";
import { listBans } from "../../reducers/bans.ts";

/** Bans in the order of their ids, from the one after `after`. */
export function bansView(state: State, { limit, after }: { readonly limit: number; readonly after: string }) {
  const views = listBans(state)
    .map(banView)
    .filter(({ id }) => id > after)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const page = views.slice(0, limit);
  return { bans: page, next: views.length > limit ? (page.at(-1)?.id ?? null) : null };
}

/** `until` is null for a ban that does not end. */
export const banView = ({ subject, untilMs, reason }: Ban) => ({
  id: formatSubject(subject),
  kind: subject.tag,
  until: untilMs >= FOREVER_MS ? null : new Date(untilMs).toISOString(),
  reason,
});
