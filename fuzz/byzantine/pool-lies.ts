import type { TransactionInfo } from "../../core/chain.ts";
import { type ChannelMessage, encodeMessage } from "../../core/channels/table.ts";
import { itemHash } from "../../core/hash.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { accountOf, type SimVerdict, signed } from "../sim-items.ts";
import { type ConnectionBehaviour, changing, type Line, lying, saying } from "./behaviour.ts";
import {
  fakeInfo,
  getNext,
  type Infos,
  infos,
  isSpent,
  payment,
  randomHex,
  refloor,
  response,
  times,
} from "./messages.ts";

/** 7.4 to 7.6: permits and announcements. */

/** Beyond the seqs that a production node has come to within a test. */
const SEQ = 1_000_000;
const MANY = Number.POSITIVE_INFINITY;
/** As many as are asked for at once: they are verified together. */
const BATCH = 16;
/** The liar holds the items by then itself, and the honest side what is good of them. */
const SUBMITTED_MS = 200;
const KEPT_MS = 5_000;
/** An info on the wire: hash, fee, sender, nonce. */
const INFO_BYTES = 32 + 8 + 32 + 4;
/** Tag, cursor, seq, and a rest that is None. */
const INFOS_HEAD_BYTES = 1 + 16 + 4 + 1;

const submitted =
  (verdict: SimVerdict, count = 1) =>
  ({ liar }: Line): void => {
    for (let number = 0; number < count; number++) liar.submit(payment(liar.random, verdict));
  };

const isInfos = (
  said: ChannelMessage,
): said is { readonly channel: "transaction"; readonly message: Infos } =>
  said.channel === "transaction" && said.message.tag === "infos";

/** Answers the open permit of the honest side, of which the production node does not hear. */
function answering(
  name: string,
  breaks: string,
  endsIn: ConnectionBehaviour["endsIn"],
  answer: (line: Line, seq: number) => readonly ChannelMessage[],
): ConnectionBehaviour {
  return lying(name, breaks, endsIn, (line) => {
    let seq: number | null = null;
    return {
      hears: ({ channel, message }) => {
        if (channel !== "transaction" || message.tag === "infos") return false;
        seq = message.window.seq;
        return true;
      },
      acts: () => {
        if (seq !== null) line.say(...answer(line, seq));
      },
    };
  });
}

export const POOL_LIES: readonly ConnectionBehaviour[] = [
  answering("Infos twice for one permit", "7.4", "noPermit", ({ liar: { random } }, seq) => [
    infos("transaction", seq, [fakeInfo(random)]),
    infos("transaction", seq, [fakeInfo(random)]),
  ]),
  answering("a flood of Infos", "7.4", "noPermit", ({ liar: { random } }, seq) =>
    times(200, () => infos("transaction", seq, [fakeInfo(random)])),
  ),
  answering("Infos for a window never given", "7.4", "badState", ({ liar: { random } }) => [
    infos("transaction", SEQ, [fakeInfo(random)]),
  ]),
  answering("empty Infos", "7.4", "badState", (_line, seq) => [infos("transaction", seq, [])]),
  answering("two infos for one hash", "5", "itemMismatch", ({ liar: { random } }, seq) => {
    const info = fakeInfo(random);
    return [infos("transaction", seq, [info, { ...info, fee: info.fee + 1n }])];
  }),
  saying("33 infos", "7.4", "undecodable", ({ sayBytes, liar: { random } }) => {
    const items = Array.from({ length: 32 }, () => fakeInfo(random));
    const bytes = encodeMessage(infos("transaction", 0, items));
    bytes[INFOS_HEAD_BYTES] = 33;
    sayBytes("transaction", Uint8Array.of(...bytes, ...bytes.subarray(-INFO_BYTES)));
  }),
  // An honest node may have something to answer the first of them with.
  saying("GetNext twice", "7.4", "overLimit", ({ say }) =>
    say(...[0, 1, 2].map((more) => getNext("transaction", SEQ + more))),
  ),
  saying("a window.seq that does not grow", "7.4", "badState", ({ say }) =>
    say(refloor("transaction", SEQ), refloor("transaction", SEQ)),
  ),
  saying("a floor where there is none", "7.4", "badState", ({ say, liar: { random } }) =>
    say(refloor("snark", SEQ, { floor: { class: 3, hash: randomHex(random) as Hash } })),
  ),

  changing(
    "twins: infos that differ from the items",
    "5",
    "itemMismatch",
    (said) => {
      if (!isInfos(said)) return [said];
      const items = said.message.items.map((info) => ({ ...info, fee: info.fee + 1n }));
      return [{ ...said, message: { ...said.message, items } }];
    },
    submitted("valid"),
  ),
  changing(
    "serves other bytes",
    "5",
    "itemMismatch",
    (said) => {
      if (said.channel !== "rpc" || said.message.tag !== "response") return [said];
      const { id, body } = said.message;
      if (body.tag !== "items") return [said];
      const found = body.found.map(() => ({ tag: "some", bytes: Uint8Array.of(1, 2, 3) }) as const);
      return [response(id, { tag: "items", found })];
    },
    submitted("valid"),
  ),
  changing("invalid items", "5", "invalidItem", (said) => [said], submitted("invalid")),
  {
    ...answering("invalid items in a batch of good ones", "5, 7.4", "invalidItem", (line, seq) => {
      const { liar, to } = line;
      const { cluster, random } = liar;
      const bad = new Set(Array.from({ length: random.between(1, 3) }, () => random.int(BATCH)));
      const made = Array.from({ length: BATCH }, (_, place) => {
        const transaction = payment(random, bad.has(place) ? "invalid" : "valid");
        return { ...transaction, hash: liar.submit(transaction) };
      });
      line.after(SUBMITTED_MS, () => line.say(infos("transaction", seq, made)));
      cluster.clock.after(
        KEPT_MS,
        () => {
          const { entries } = cluster.node(to).state.pools.transaction;
          for (const item of made)
            if (item.verdict === "valid")
              liar.note(entries.has(item.hash) || isSpent(line, item) ? "kept" : "lost");
        },
        "background",
      );
      return [];
    }),
    needs: { isBatchOnly: true },
    notes: { kept: [1, MANY], lost: [0, 0] },
  },
  changing("items that are not valid now", "5", null, (said) => [said], submitted("notNow", 3)),
  lying("items that are none", "5", "invalidItem", (line) => {
    const bytes = Uint8Array.of(9, 9, 9);
    const info = { ...fakeInfo(line.liar.random), hash: itemHash(bytes) as Hash };
    return {
      hears: ({ channel, message }) => {
        if (channel !== "transaction" || message.tag === "infos") return false;
        if (message.tag === "getNext") line.say(infos("transaction", message.window.seq, [info]));
        return true;
      },
      says: (said) => {
        if (said.channel !== "rpc" || said.message.tag !== "response") return [said];
        const { id } = said.message;
        const request = line.asked.get(id);
        if (request?.tag !== "transactions" || !request.hashes.includes(info.hash)) return [said];
        return [response(id, { tag: "items", found: [{ tag: "some", bytes }] })];
      },
    };
  }),

  changing(
    "announces and says that it has none",
    "5",
    "doesNotHave",
    (said) => {
      if (said.channel !== "rpc" || said.message.tag !== "response") return [said];
      const { id, body } = said.message;
      if (body.tag !== "items") return [said];
      return [response(id, { tag: "items", found: body.found.map(() => ({ tag: "none" }) as const) })];
    },
    submitted("valid", 40),
  ),
  changing(
    "announces and never answers",
    "5",
    "doesNotHave",
    (said) => (said.channel === "rpc" && said.message.tag === "response" ? [] : [said]),
    submitted("valid", 40),
  ),
  changing(
    "announces and is always busy",
    "5",
    "doesNotHave",
    (said) =>
      said.channel === "rpc" && said.message.tag === "response"
        ? [response(said.message.id, { tag: "busy" })]
        : [said],
    submitted("valid", 40),
  ),
  changing("announces nothing", "7.4", null, (said) => (isInfos(said) ? [] : [said])),
  changing("gives no permits", "7.4", null, (said) =>
    said.message.tag === "getNext" || said.message.tag === "refloor" ? [] : [said],
  ),
  lying("a cursor that goes back in ever new epochs", "7.4", null, ({ liar: { random } }) => ({
    says: (said) => {
      if (!isInfos(said)) return [said];
      const cursor = { epoch: BigInt(random.int(2 ** 32)), next: BigInt(random.int(3)) };
      return [{ ...said, message: { ...said.message, cursor } }];
    },
    acts: () => {},
  })),
  repeating("announces again and again what it has", null, ({ liar }) => {
    const transaction = payment(liar.random);
    const hash = liar.submit(transaction);
    const { fee, sender, nonce } = transaction;
    return { hash, fee, sender, nonce };
  }),
  repeating("announces again and again what it has not", "doesNotHave", ({ liar: { random } }) =>
    fakeInfo(random),
  ),

  committing("a forged commitment", "7.6", "invalidItem", (jobId, { liar: { cluster } }) => {
    const issuedAt = BigInt(cluster.clock.nowMs);
    return signed({ jobId, fee: 0n, snarker: accountOf(7), issuedAt }, "invalid");
  }),
  committing("a commitment of an hour ago", "7.6", null, (jobId, { liar: { cluster } }) => {
    const issuedAt = BigInt(cluster.clock.nowMs - 3_600_000);
    return signed({ jobId, fee: 0n, snarker: accountOf(7), issuedAt });
  }),
];

/** One info for every permit. */
function repeating(
  name: string,
  endsIn: ConnectionBehaviour["endsIn"],
  make: (line: Line) => TransactionInfo,
): ConnectionBehaviour {
  return lying(name, "7.4, 5", endsIn, (line) => {
    const info = make(line);
    return {
      hears: ({ channel, message }) => {
        if (channel !== "transaction" || message.tag === "infos") return false;
        if (message.tag === "getNext")
          line.after(1_000, () => line.say(infos("transaction", message.window.seq, [info])));
        return true;
      },
    };
  });
}

/** The same for a commitment. */
function committing(
  name: string,
  breaks: string,
  endsIn: ConnectionBehaviour["endsIn"],
  make: (jobId: JobId, line: Line) => ReturnType<typeof signed>,
): ConnectionBehaviour {
  const pool = "snark-job-commitment";
  return lying(name, breaks, endsIn, (line) => {
    let seq: number | null = null;
    return {
      hears: ({ channel, message }) => {
        if (channel !== pool || message.tag === "infos") return false;
        seq = message.window.seq;
        return true;
      },
      acts: () => {
        const jobId = randomHex(line.liar.random) as string as JobId;
        if (seq !== null) line.say(infos(pool, seq, [make(jobId, line)]));
      },
    };
  });
}
