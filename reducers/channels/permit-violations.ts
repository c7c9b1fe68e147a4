import type { PermitChannel, PermitWindow, PoolMessage } from "../../core/channels/permits.ts";
import { hashOf, type PoolInfo, type PoolName, sameInfo } from "../../core/pools.ts";
import type { Violation } from "./violation.ts";

/** What the bytes alone prove to be against the rules (section 5), in the state this channel is in. */
export function violationOf(pool: PoolName, channel: PermitChannel, message: PoolMessage): Violation | null {
  switch (message.tag) {
    case "getNext":
      if (channel.theirs.tag === "open")
        return { reason: "overLimit", detail: "a second GetNext while one is open" };
      return windowViolation(pool, channel, message.window);
    case "refloor":
      return windowViolation(pool, channel, message.window);
    case "infos": {
      if (channel.ours.tag !== "permitGiven") return { reason: "noPermit", detail: "Infos without a permit" };
      const { limit, windows } = channel.ours;
      const window = windows.find(({ seq }) => seq === message.seq);
      if (message.items.length > limit) {
        return { reason: "overLimit", detail: `${message.items.length} infos for a permit of ${limit}` };
      }
      if (window === undefined)
        return { reason: "badState", detail: `Infos.seq ${message.seq} was not given` };
      if (message.items.length === 0 && window.band === null)
        return { reason: "badState", detail: "empty Infos without a finished band" };
      return contradiction(message.items);
    }
  }
}

function windowViolation(
  pool: PoolName,
  { theirSeq }: PermitChannel,
  window: PermitWindow,
): Violation | null {
  if (pool !== "transaction" && window.floor !== null)
    return { reason: "badState", detail: "a floor on a channel that has none" };
  return window.seq > theirSeq
    ? null
    : { reason: "badState", detail: `window.seq ${window.seq} does not grow` };
}

/** Two different infos for one hash cannot both be right. */
function contradiction(items: readonly PoolInfo[]): Violation | null {
  const infos = new Map<string, PoolInfo>();
  for (const info of items) {
    const hash = hashOf(info);
    const other = infos.get(hash);
    if (other !== undefined && !sameInfo(other, info))
      return { reason: "itemMismatch", detail: `two different infos for ${hash}` };
    infos.set(hash, info);
  }
  return null;
}
