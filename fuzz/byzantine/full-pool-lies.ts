import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import { RECONCILE_ROUNDS_MAX } from "../../core/limits.ts";
import type { Reason } from "../../core/reasons.ts";
import { type ConnectionBehaviour, changing, type Line, lying } from "./behaviour.ts";
import { fakeInfo, infos, payment, response } from "./messages.ts";

/** What can only be tried where the honest pools hold much: floors (7.4), reconciliation (7.7) and permits for little. */

/** More than 200, also after some blocks: an Infos with a new epoch then means a reconciliation, before it a permit for one. */
const ITEMS = 220;
const LIMIT_MOST = 32;
const WHOLE = { from: 0n, to: 2n ** 64n - 1n } as const;

/** Answers the requests of a reconciliation in its own way. It has something to tell: else nobody would see its log. */
const reconciling = (
  name: string,
  endsIn: Reason | null,
  answer: (request: RpcRequest, line: Line) => RpcResponse | null,
): ConnectionBehaviour => ({
  ...changing(
    name,
    "7.7",
    endsIn,
    (said, line) => {
      if (said.channel !== "rpc" || said.message.tag !== "response") return [said];
      const { id } = said.message;
      const request = line.asked.get(id);
      if (request?.tag !== "reconcile" && request?.tag !== "infosByShortId") return [said];
      line.liar.note(request.tag);
      const body = answer(request, line);
      return body === null ? [] : [response(id, body)];
    },
    ({ liar }) => void liar.submit(payment(liar.random)),
  ),
  needs: { items: ITEMS },
});

const cursorOf = ({ liar: { random } }: Line) => ({ epoch: BigInt(random.int(2 ** 32)), next: 5n });

const randomIds = (line: Line, count: number): readonly bigint[] =>
  Array.from({ length: count }, () => BigInt(line.liar.random.int(2 ** 32)) << 31n);

export const FULL_POOL_LIES: readonly ConnectionBehaviour[] = [
  {
    ...lying("more infos than the permit is for", "7.4", "overLimit", ({ say, liar: { random } }) => ({
      hears: ({ channel, message }) => {
        if (channel !== "transaction" || message.tag !== "getNext" || message.limit === LIMIT_MOST)
          return false;
        const items = Array.from({ length: message.limit + 1 }, () => fakeInfo(random));
        say(infos("transaction", message.window.seq, items));
        return true;
      },
    })),
    needs: { items: ITEMS },
  },
  {
    ...lying("infos at or below the floor", "7.4", null, (line) => ({
      hears: ({ channel, message }) => {
        if (channel !== "transaction" || message.tag === "infos") return false;
        const items = Array.from({ length: LIMIT_MOST }, () => ({ ...fakeInfo(line.liar.random), fee: 0n }));
        if (message.tag === "getNext" && message.window.floor !== null)
          line.after(1_000, () => line.say(infos("transaction", message.window.seq, items)));
        return true;
      },
    })),
    needs: { items: 20, capacity: 5 },
  },
  {
    ...lying("keeps the floor and band of nobody", "7.4", null, ({ liar }) => ({
      says: (said) => {
        if (said.channel !== "transaction" || said.message.tag === "infos") return [said];
        const { seq } = said.message.window;
        return [{ ...said, message: { ...said.message, window: { seq, floor: null, band: null } } }];
      },
      acts: () => {
        for (let count = 0; count < 10; count++) liar.submit(payment(liar.random));
      },
    })),
    needs: { items: 20, capacity: 5 },
  },
  reconciling("a reconciliation without an answer", null, () => null),
  {
    ...reconciling("a reconciliation without an end", null, (_request, line) => {
      const [xor = 0n, sum = 0n] = randomIds(line, 2);
      const body = { tag: "fingerprint", count: line.liar.random.int(1_000), xor, sum } as const;
      return { tag: "reconcile", cursor: cursorOf(line), ranges: [{ ...WHOLE, body }] };
    }),
    notes: { reconcile: [1, RECONCILE_ROUNDS_MAX] },
  },
  finding("a reconciliation that finds what is not", null, 0),
  finding("infos of what was not asked for", "responseMismatch", 1),
  finding("more infos than short ids", "responseMismatch", 200),
];

/** Says that it has three items that nobody has, and with how many infos of others it answers when asked for theirs. */
function finding(name: string, endsIn: Reason | null, count: number): ConnectionBehaviour {
  return reconciling(name, endsIn, (request, line) => {
    if (request.tag === "infosByShortId") {
      const items = Array.from({ length: count }, () => fakeInfo(line.liar.random));
      return { tag: "infos", infos: { tag: "transactions", items } };
    }
    const ids = randomIds(line, 3).toSorted((a, b) => (a < b ? -1 : 1));
    return { tag: "reconcile", cursor: cursorOf(line), ranges: [{ ...WHOLE, body: { tag: "ids", ids } }] };
  });
}
