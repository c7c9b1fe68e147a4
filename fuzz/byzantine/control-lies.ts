import {
  CHANNEL_NAMES,
  CHANNELS,
  type ChannelMessage,
  type ChannelName,
  encodeMessage,
} from "../../core/channels/table.ts";
import { REASONS } from "../../core/reasons.ts";
import { type ConnectionBehaviour, changing, type Line, lying, saying } from "./behaviour.ts";
import { control, fakeInfo, getNext, infos, ping, randomHex, request, times } from "./messages.ts";

/** Sections 4 and 5: Hello, Goodbye, keepalive, and what is no message at all. */

/** A Pong so late that one more second would be too late. */
const PONG_DELAY_MS = 9_000;

/** Channels are not ordered against each other, but no message is late by so much. */
const OVERTAKING_MS = 10;

const anyChannel = ({ liar }: Line): ChannelName =>
  CHANNEL_NAMES[liar.random.int(CHANNEL_NAMES.length)] ?? "control";

/** Its own Pings would be traffic that keeps the other side from asking. */
function withoutPing(said: ChannelMessage, { pretend }: Line): readonly ChannelMessage[] {
  if (said.channel !== "control" || said.message.tag !== "ping") return [said];
  pretend(control({ tag: "pong", n: said.message.n }));
  return [];
}

export const NO_PONG: ConnectionBehaviour = changing("no Pong", "4", "timeout", (said, line) => {
  if (said.channel === "control" && said.message.tag === "pong") return [];
  return withoutPing(said, line);
});

/** What no key is punished for: no Hello has proven it. */
const STRANGERS: readonly ConnectionBehaviour[] = [
  // Nor anything else on control: it would be the first message there.
  changing("no Hello", "4", "timeout", (said) => (said.channel === "control" ? [] : [said])),
  changing("a Ping before Hello", "4", "badState", (said) =>
    said.channel === "control" && said.message.tag === "hello" ? [ping(0), said] : [said],
  ),
  changing("a Hello of another session", "4", "badSignature", (said, { liar }) =>
    said.channel === "control" && said.message.tag === "hello"
      ? [control({ ...said.message, session: randomHex(liar.random) })]
      : [said],
  ),
  changing("a Hello of version 0", "4", "undecodable", (said) =>
    said.channel === "control" && said.message.tag === "hello"
      ? [control({ ...said.message, version: 0 })]
      : [said],
  ),
];

export const CONTROL_LIES: readonly ConnectionBehaviour[] = [
  ...STRANGERS.map((behaviour) => ({ ...behaviour, isStranger: true })),
  changing("a second Hello", "4", "badState", (said) =>
    said.channel === "control" && said.message.tag === "hello" ? [said, said] : [said],
  ),
  changing("channels of which nobody has heard", "4", null, (said) =>
    said.channel === "control" && said.message.tag === "hello"
      ? [control({ ...said.message, channels: said.message.channels | 0xfe00 })]
      : [said],
  ),

  NO_PONG,
  lying("says nothing more", "4", "timeout", () => {
    let isSilent = false;
    return {
      says: (said) => (isSilent ? [] : [said]),
      acts: () => {
        isSilent = true;
      },
    };
  }),
  changing("a Pong at the last moment", "4", null, (said, line) => {
    if (said.channel !== "control" || said.message.tag !== "pong") return withoutPing(said, line);
    line.after(PONG_DELAY_MS, () => line.say(said));
    return [];
  }),
  saying("a Pong that matches nothing", "4", null, ({ say }) =>
    say(...times(200, (n) => control({ tag: "pong", n: 7_000 + n }))),
  ),
  saying("a flood of Pongs that match nothing", "4", "overLimit", ({ say }) =>
    say(...times(300, (n) => control({ tag: "pong", n: 7_000 + n }))),
  ),
  saying("goes on after its Goodbye", "4", null, ({ say, after, liar: { random } }) => {
    say(control({ tag: "goodbye", reason: REASONS.indexOf("operator"), banMs: 0 }));
    say(ping(1), ping(2), control({ tag: "goodbye", reason: 0, banMs: 9 }));
    // On other channels what was sent at once could overtake it.
    after(OVERTAKING_MS, () => {
      say(getNext("snark", 0), getNext("snark", 0), infos("transaction", 9, [fakeInfo(random)]));
      say(...times(20, (id) => request(id, { tag: "peers" })));
    });
  }),

  saying("undecodable bytes", "5", "undecodable", (line) => {
    const { random } = line.liar;
    // No channel has so many tags.
    const bytes = Uint8Array.from({ length: random.between(1, 200) }, () => random.int(256));
    line.sayBytes(anyChannel(line), bytes.fill(200, 0, 1));
  }),
  saying("an empty message", "5", "undecodable", (line) => line.sayBytes(anyChannel(line), new Uint8Array())),
  saying("a truncated message", "5", "undecodable", ({ sayBytes }) =>
    sayBytes("snark", encodeMessage(getNext("snark", 100)).subarray(0, -1)),
  ),
  saying("a trailing byte", "5", "undecodable", ({ sayBytes }) =>
    sayBytes("control", Uint8Array.of(...encodeMessage(ping(0)), 0)),
  ),
  saying("a permit for 33", "5", "undecodable", ({ sayBytes }) => {
    const bytes = encodeMessage(getNext("transaction", 100));
    bytes[1] = 33;
    sayBytes("transaction", bytes);
  }),
  saying("an oversized message", "5", "oversized", (line) => {
    const channel = anyChannel(line);
    line.sayBytes(channel, new Uint8Array(CHANNELS[channel].bytesMax + 1));
  }),
  saying("a text frame", "5", "undecodable", (line) => line.sayText(anyChannel(line))),
];
