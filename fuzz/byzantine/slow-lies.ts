import type { ChannelName } from "../../core/channels/table.ts";
import type { Hash } from "../../core/ids.ts";
import { type ConnectionBehaviour, lying, saying } from "./behaviour.ts";
import { control, fakeInfo, infos, isSpent, payment, randomHex, request } from "./messages.ts";

/** Sections 4 and 7.7: who does not read, does not answer, or speaks before it has said Hello. */

/** Longer than everything that a test waits for. */
const LONG_MS = 120_000;
/** Less than STALLED_AFTER_MS, with what the honest side does meanwhile. */
const PAUSE_MS = 6_000;
/** Meanwhile the production node may ask for three things too, and must not give up any of them. */
const SHORT_PAUSE_MS = 3_000;
/** So much later it has heard of the pause. */
const HEARD_MS = 500;
/** What is said when there is room again has come by then, and nothing that was said for another reason. */
const FLIGHT_MS = 100;
/** All channels are open by then. */
const OPEN_MS = 300;
const HELLO_MS = 1_000;
/** What may wait for a Hello on rpc. */
const EARLY_REQUESTS = 4;
/** Four requests that time out one after the other, 30 s in which all slots are blocked, and what was heard of it. */
const BLOCKED_MS = 65_000;

const STALLED_THRICE_MS = 60_000;

const MANY = Number.POSITIVE_INFINITY;

/** Stops reading, and then makes the honest side want to say something there. */
const unread = (name: string, channel: ChannelName): ConnectionBehaviour => ({
  ...saying(name, "4", "stalled", (line) => {
    line.stopReading(channel);
    for (const delayMs of [HEARD_MS, 3 * HEARD_MS])
      line.after(delayMs, () => void line.liar.submit(payment(line.liar.random)));
  }),
  // It comes back twice, and its items are traffic for everybody: those who wait for silence wait longer.
  settlingMs: STALLED_THRICE_MS,
});

/** Sends requests before its Hello. */
const hasty = (name: string, endsIn: ConnectionBehaviour["endsIn"], requests: number): ConnectionBehaviour =>
  lying(name, "4", endsIn, (line) => ({
    says: (said) => {
      if (said.channel !== "control" || said.message.tag !== "hello") return [said];
      line.after(OPEN_MS, () => {
        for (let count = 0; count < requests; count++)
          line.request({ tag: "bestTip" }, () => line.liar.note("answered"));
      });
      line.after(HELLO_MS, () => line.say(said));
      return [];
    },
  }));

export const SLOW_LIES: readonly ConnectionBehaviour[] = [
  unread("reads no Infos", "transaction"),
  unread("reads no requests", "rpc"),
  {
    ...saying("reads its Infos late", "4", null, (line) => {
      const { liar, to, stopReading, after } = line;
      // No block takes it soon.
      const transaction = { ...payment(liar.random), fee: 0n };
      stopReading("transaction", PAUSE_MS);
      after(HEARD_MS, () => {
        const { hash } = liar.cluster.submit(to, transaction);
        // From whomever it heard of it first: it does not read the others sooner.
        after(PAUSE_MS + FLIGHT_MS - HEARD_MS, () => {
          const { pools, fetches } = liar.node().state;
          // The body may still be on its way.
          const isTold = fetches.has(hash) || pools.transaction.entries.has(hash);
          if (isTold || isSpent(line, transaction)) liar.note("told");
        });
      });
    }),
    notes: { told: [1, MANY] },
  },
  {
    ...saying("reads responses late", "7.7", null, ({ stopReading, after, request: ask, liar }) => {
      stopReading("rpc", SHORT_PAUSE_MS);
      after(HEARD_MS, () => ask({ tag: "bestTip" }, () => liar.note("answered")));
    }),
    notes: { answered: [1, MANY] },
  },
  saying("a violation of which it never hears the end", "4", "badState", ({ say, to, liar }) => {
    liar.cluster.network.stall(to, liar.index, LONG_MS);
    say(request(1_000_000, { tag: "peers" }));
  }),

  { ...hasty("too many requests before its Hello", "overLimit", 5 * EARLY_REQUESTS), isStranger: true },
  {
    ...hasty("requests before its Hello", null, EARLY_REQUESTS),
    notes: { answered: [EARLY_REQUESTS, MANY] },
  },
  lying("hangs up in the place of its Hello", "4", null, ({ hangUp }) => ({
    says: (said) => {
      if (said.channel !== "control" || said.message.tag !== "hello") return [said];
      hangUp();
      return [];
    },
  })),
  lying("Pongs that match nothing in the place of those that do", "4", "timeout", (line) => ({
    says: (said) => {
      if (said.channel !== "control") return [said];
      const { message } = said;
      if (message.tag === "pong") return [control({ tag: "pong", n: message.n + 1 })];
      if (message.tag !== "ping") return [said];
      // Its own Pings would be traffic that keeps the other side from asking.
      line.pretend(control({ tag: "pong", n: message.n }));
      return [];
    },
  })),
  {
    ...saying("asks for what is not there", "7.7", null, ({ request: ask, liar }) => {
      const hash = randomHex(liar.random) as Hash;
      ask({ tag: "block", hash }, ({ tag }) => liar.note(tag));
      ask({ tag: "ancestry", hash, count: 3 }, ({ tag }) => liar.note(tag));
    }),
    notes: { notFound: [2, MANY] },
  },
  {
    ...lying(
      "announces one item at a time and answers nothing",
      "7.7",
      "timeout",
      ({ say, after, liar }) => ({
        hears: ({ channel, message }) => {
          if (channel !== "transaction" || message.tag === "infos") return false;
          if (message.tag === "getNext")
            after(HEARD_MS, () => say(infos("transaction", message.window.seq, [fakeInfo(liar.random)])));
          return true;
        },
        says: (said) => (said.channel === "rpc" && said.message.tag === "response" ? [] : [said]),
      }),
    ),
    settlingMs: BLOCKED_MS,
  },
];
