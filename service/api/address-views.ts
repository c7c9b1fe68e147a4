import type { BookEntry } from "../../core/address-book.ts";
import { formatMultiaddr } from "../../core/multiaddr.ts";
import type { State } from "../../core/state.ts";
import { anchorsOf } from "../../reducers/book/kept.ts";

/** The address book in the order of the addresses, from the one after `after`. */
export function addressesView(
  state: State,
  { limit, after }: { readonly limit: number; readonly after: string },
) {
  const { addresses, anchors } = state.book;
  const kept = new Set([...anchors, ...anchorsOf(state)].map(formatMultiaddr));
  const page: ReturnType<typeof addressView>[] = [];
  for (const [address, entry] of addresses.entries.entries(after)) {
    if (address === after) continue;
    if (page.length === limit) return { addresses: page, next: page.at(-1)?.address ?? null };
    page.push(addressView(address, entry, kept.has(address), state.timeMs));
  }
  return { addresses: page, next: null };
}

/** `nextDial` is null for an address that may be dialed now. */
const addressView = (
  address: string,
  { table, source, successMs, failures, nextMs }: BookEntry,
  anchor: boolean,
  timeMs: number,
) => ({
  address,
  table,
  source: { id: source.peerId, address: source.remoteAddress },
  lastSuccess: successMs === null ? null : new Date(successMs).toISOString(),
  failures,
  nextDial: nextMs > timeMs ? new Date(nextMs).toISOString() : null,
  anchor,
});
