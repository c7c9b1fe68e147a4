import type { DiscoveryMessage } from "../../core/channels/discovery.ts";
import type { ExchangeMessage } from "../../core/channels/exchange.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import { SIGNALING_BYTES_MAX } from "../../core/limits.ts";
import type { Envelope } from "../../core/signals.ts";
import { identityOf } from "../sim-identity.ts";
import { sealedOffer } from "../stranger.ts";
import { type ConnectionBehaviour, type Lie, type Line, lying, type Needs, saying } from "./behaviour.ts";
import { discovery, exchange, garbage, times } from "./messages.ts";

/** 7.1 and 7.2: hostile dialers, relays and listeners. */

/** A key that is one, and of which nobody else has heard. */
const NOBODY = identityOf("nobody").publicKey;
const NO_KEY = "ff".repeat(32);
const MANY = Number.POSITIVE_INFINITY;
/** A dialer gives a silent relay up after 45 s, and may have begun to wait late. */
const SILENCE_MS = 70_000;
/** P36. A run takes less than a minute. */
const OFFERS_PER_MINUTE = 5;

const NONE: DiscoveryMessage & ExchangeMessage = { tag: "answer", reply: null };
const DISCOVER = discovery({ tag: "discover" });
const REJECT = discovery({ tag: "reject" });
const ACCEPT = (offer: Envelope): ChannelMessage => discovery({ tag: "accept", offer });
const DISCOVERED = (target: string): ChannelMessage => discovery({ tag: "discovered", target });

const SEEKING: Needs = { peersMin: "victims" };
const SOUGHT: Needs = { peersMin: "others" };
/** With its permits the honest side finds the liar through one of the two that it has dialed. */
const ONE_OF_TWO = 0.5;

type Heard = Extract<ChannelMessage, { channel: "signaling/discovery" | "signaling/exchange" }>;

/**
 * What is said in the place of the production node to a message of one of the two channels; undefined: it hears it. It has
 * enough peers and never asks a relay: of Answers to what a lie has asked it must not hear.
 */
const replying = (line: Line, reply: (heard: Heard) => readonly ChannelMessage[] | undefined): Lie => ({
  hears: (heard) => {
    if (heard.channel !== "signaling/discovery" && heard.channel !== "signaling/exchange") return false;
    const said = reply(heard);
    if (said !== undefined) line.say(...said);
    return said !== undefined || (heard.channel === "signaling/discovery" && heard.message.tag === "answer");
  },
});

/** Asks with every permit that it gets. */
const asking = (line: Line, told: (target: string) => readonly ChannelMessage[]): Lie =>
  replying(line, ({ channel, message }) => {
    if (channel !== "signaling/discovery") return undefined;
    if (message.tag === "getNext") return [DISCOVER];
    if (message.tag === "answer") line.liar.note(message.reply === null ? "none" : "reply");
    return message.tag === "discovered" ? told(message.target) : undefined;
  });

const dialing = (
  name: string,
  endsIn: ConnectionBehaviour["endsIn"],
  told: (line: Line, target: string) => readonly ChannelMessage[],
): ConnectionBehaviour => lying(name, "7.1", endsIn, (line) => asking(line, (target) => told(line, target)));

const DIALERS: readonly ConnectionBehaviour[] = [
  saying("Discover without a permit", "7.1", "noPermit", ({ say }) => say(DISCOVER, DISCOVER)),
  saying("Accept without Discovered", "7.1", "badState", ({ say, liar }) =>
    say(ACCEPT(garbage(liar.random))),
  ),
  saying("Reject without Discovered", "7.1", "badState", ({ say }) => say(REJECT)),
  dialing("Accept twice", "badState", ({ liar }) => [
    ACCEPT(garbage(liar.random)),
    ACCEPT(garbage(liar.random)),
  ]),
  dialing("Reject twice", "badState", () => [REJECT, REJECT]),
  dialing("Accept after Reject", "badState", ({ liar }) => [REJECT, ACCEPT(garbage(liar.random))]),
  { ...dialing("a dialer that never decides", null, () => []), notes: { none: [1, MANY] } },
  {
    ...dialing("an offer that nobody can open", null, ({ liar }) => [ACCEPT(garbage(liar.random))]),
    notes: { none: [1, MANY] },
  },
  {
    ...dialing("the offer of another", null, ({ liar, to }, target) => [
      ACCEPT(
        sealedOffer(liar.cluster, {
          from: liar.cluster.identity(to),
          to: target,
          number: liar.random.int(2 ** 32),
        }),
      ),
    ]),
    notes: { none: [1, MANY] },
  },
  lying("the same offer with every permit", "7.1", null, (line) => {
    const { cluster, identity } = line.liar;
    const offers = new Map<string, Envelope>();
    return asking(line, (target) => {
      const offer = offers.get(target) ?? sealedOffer(cluster, { from: identity, to: target, number: 7 });
      offers.set(target, offer);
      return [ACCEPT(offer)];
    });
  }),
];

const relaying = (
  name: string,
  endsIn: ConnectionBehaviour["endsIn"],
  reply: (line: Line, heard: Heard["message"]) => readonly ChannelMessage[] | undefined,
): ConnectionBehaviour => ({
  ...lying(name, "7.1", endsIn, (line) => replying(line, ({ message }) => reply(line, message))),
  needs: SEEKING,
});

const answering =
  (...said: readonly ChannelMessage[]) =>
  (_line: Line, { tag }: { readonly tag: string }) =>
    tag === "discover" ? said : undefined;

const RELAYS: readonly ConnectionBehaviour[] = [
  saying("a second permit for Discover", "7.1", "overLimit", ({ say }) => say(discovery({ tag: "getNext" }))),
  saying("Discovered without Discover", "7.1", "badState", ({ say }) => say(DISCOVERED(NOBODY))),
  saying("an Answer to nothing", "7.1", "badState", ({ say }) => say(discovery(NONE))),
  relaying("Discovered with the receiver's own key", "badState", ({ liar, to }, { tag }) =>
    tag === "discover" ? [DISCOVERED(liar.cluster.identity(to).publicKey)] : undefined,
  ),
  relaying("Discovered twice", "badState", answering(DISCOVERED(NOBODY), DISCOVERED(NOBODY))),
  relaying("Answer None twice", "badState", answering(discovery(NONE), discovery(NONE))),
  relaying("a reply to an offer that was not made", "badState", ({ liar }, { tag }) =>
    tag === "discover" ? [discovery({ tag: "answer", reply: garbage(liar.random) })] : undefined,
  ),
  {
    ...relaying("Discovered with what is no key", null, ({ liar }, { tag }) => {
      if (tag === "discover") return [DISCOVERED(NO_KEY)];
      if (tag !== "reject") return undefined;
      liar.note("declined");
      return [];
    }),
    notes: { declined: [1, MANY] },
  },
  {
    ...relaying("garbage for a reply", null, ({ liar }, { tag }) => {
      if (tag === "accept") liar.note("offered");
      if (tag === "discover") return [DISCOVERED(NOBODY)];
      return tag === "accept" ? [discovery({ tag: "answer", reply: garbage(liar.random) })] : undefined;
    }),
    notes: { offered: [1, MANY] },
  },
  {
    ...relaying("offers that come back to their dialer", null, ({ liar, to }, heard) => {
      if (heard.tag === "discover") return [DISCOVERED(NOBODY)];
      if (heard.tag === "answer") {
        liar.note("returned");
        return [];
      }
      if (heard.tag === "getNext") return [];
      if (heard.tag !== "accept") return undefined;
      const from = liar.cluster.identity(to).publicKey;
      return [exchange({ tag: "offer", from, offer: heard.offer }), discovery(NONE)];
    }),
    notes: { returned: [1, MANY] },
  },
  { ...relaying("a relay that never answers", "timeout", answering()), settlingMs: SILENCE_MS },
  {
    ...relaying("a relay that keeps the offer", "timeout", (_line, { tag }) => {
      if (tag === "discover") return [DISCOVERED(NOBODY)];
      return tag === "accept" ? [] : undefined;
    }),
    settlingMs: SILENCE_MS,
  },

  saying("an Offer without a permit", "7.2", "noPermit", ({ say, liar: { random, identity } }) => {
    const offer = (): ChannelMessage =>
      exchange({ tag: "offer", from: identity.publicKey, offer: garbage(random) });
    // Each that is answered at once may be followed by another permit, but only so many in a minute.
    say(...times(OFFERS_PER_MINUTE + 1, offer));
  }),
  {
    ...lying("an Offer for every permit that nobody can open", "7.2", null, (line) =>
      replying(line, ({ channel, message }) => {
        if (channel !== "signaling/exchange") return undefined;
        const { random, identity, note } = line.liar;
        if (message.tag === "answer") return [];
        if (message.tag !== "getNext") return undefined;
        note("offered");
        return [exchange({ tag: "offer", from: identity.publicKey, offer: garbage(random) })];
      }),
    ),
    notes: { offered: [1, OFFERS_PER_MINUTE] },
  },
  {
    ...lying("Offers in the name of another", "7.2", null, (line) =>
      replying(line, ({ channel, message }) => {
        if (channel !== "signaling/exchange") return undefined;
        const { cluster, identity, random, note } = line.liar;
        if (message.tag === "answer") {
          note(message.reply === null ? "none" : "reply");
          return [];
        }
        if (message.tag !== "getNext") return undefined;
        const to = cluster.identity(line.to).publicKey;
        const offer = sealedOffer(cluster, { from: identity, to, number: random.int(2 ** 32) });
        return [exchange({ tag: "offer", from: NOBODY, offer })];
      }),
    ),
    notes: { none: [1, OFFERS_PER_MINUTE], reply: [0, 0] },
  },
];

const listening = (name: string, answer: (line: Line) => readonly ChannelMessage[]): ConnectionBehaviour => ({
  ...lying(name, "7.2", null, (line) =>
    replying(line, ({ message }) => {
      if (message.tag !== "offer") return undefined;
      line.liar.note("brought");
      return answer(line);
    }),
  ),
  needs: SOUGHT,
  notes: { brought: [ONE_OF_TWO, MANY] },
});

const LISTENERS: readonly ConnectionBehaviour[] = [
  saying("a second permit for an Offer", "7.2", "overLimit", ({ say }) =>
    say(exchange({ tag: "getNext" }), exchange({ tag: "getNext" })),
  ),
  saying("an Answer without an Offer", "7.2", "badState", ({ say }) => say(exchange(NONE))),
  listening("a listener that never answers", () => []),
  listening("a listener that has no answer", () => [exchange(NONE)]),
  listening("a listener that answers with garbage", ({ liar }) => [
    exchange({ tag: "answer", reply: garbage(liar.random) }),
  ]),
];

export const RELAY_LIES: readonly ConnectionBehaviour[] = [
  ...DIALERS,
  ...RELAYS,
  ...LISTENERS,
  ...(["signaling/discovery", "signaling/exchange"] as const).map((channel) =>
    saying(`an oversized message on ${channel}`, "5", "oversized", ({ sayBytes }) =>
      sayBytes(channel, new Uint8Array(SIGNALING_BYTES_MAX + 1)),
    ),
  ),
];
