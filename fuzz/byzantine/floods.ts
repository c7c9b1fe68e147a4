import type { ChannelMessage } from "../../core/channels/table.ts";
import type { Hash } from "../../core/ids.ts";
import type { Reason } from "../../core/reasons.ts";
import { type ConnectionBehaviour, type Line, saying } from "./behaviour.ts";
import { forgedTip, headerOf } from "./forgeries.ts";
import { control, getNext, ping, randomHex, refloor, request, stream } from "./messages.ts";

/** Many messages of one type at once, each of them sound by itself. */

interface Flood {
  readonly of: string;
  readonly endsIn: Reason | null;
  readonly make: (number: number, line: Line) => ChannelMessage;
}

/** More than any burst: 64 Pings, 64 Refloors. */
const MESSAGES = 200;
const SEQ = 2_000_000;

const FLOODS: readonly Flood[] = [
  { of: "Ping", endsIn: "overLimit", make: ping },
  { of: "Pong", endsIn: null, make: (n) => control({ tag: "pong", n: SEQ + n }) },
  {
    of: "best-tip GetNext",
    endsIn: "overLimit",
    make: () => ({ channel: "best-tip", message: { tag: "getNext" } }),
  },
  {
    of: "BestTip",
    endsIn: "noPermit",
    // All on one parent, but each higher: none is inferior to the one before.
    make: (number, line) => {
      const { height } = line.liar.node().state.chain.tip;
      const tip = forgedTip(line, { changes: { height: height + 1 + number } });
      return { channel: "best-tip", message: { tag: "bestTip", header: headerOf(tip) } };
    },
  },
  { of: "GetNext", endsIn: "overLimit", make: (number) => getNext("snark", SEQ + number) },
  { of: "Refloor", endsIn: "overLimit", make: (number) => refloor("transaction", SEQ + number) },
  {
    of: "streaming-rpc Request",
    endsIn: "overLimit",
    make: (id, { liar }) => stream({ tag: "request", id, root: randomHex(liar.random) as Hash }),
  },
  { of: "Next", endsIn: "badState", make: () => stream({ tag: "next", id: 0, from: 0, count: 1 }) },
  { of: "Cancel", endsIn: "badState", make: () => stream({ tag: "cancel", id: 0 }) },
  {
    of: "Response",
    endsIn: "responseMismatch",
    make: (id) => ({ channel: "rpc", message: { tag: "response", id: SEQ + id, body: { tag: "busy" } } }),
  },
  { of: "Request", endsIn: "badState", make: (id) => request(SEQ + id, { tag: "bestTip" }) },
];

export const FLOOD_LIES: readonly ConnectionBehaviour[] = FLOODS.map(({ of, endsIn, make }) =>
  saying(`a flood of ${of}`, "4, 5, 7", endsIn, (line) => {
    for (let number = 0; number < MESSAGES; number++) line.say(make(number, line));
  }),
);
