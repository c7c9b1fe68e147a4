import { bodyRoot, type Tip } from "../../core/block.ts";
import type { RpcRequest } from "../../core/channels/rpc.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import type { Hash } from "../../core/ids.ts";
import { slotAt } from "../sim-consensus.ts";
import { type ConnectionBehaviour, changing, type Line, lying, saying } from "./behaviour.ts";
import { EMPTY_BODY, forgedTip, headerOf } from "./forgeries.ts";
import { randomHex, response } from "./messages.ts";

/** 7.3: what is announced as the best tip, and what is served of it. */

const tipSaid = (tip: Tip): ChannelMessage => ({
  channel: "best-tip",
  message: { tag: "bestTip", header: headerOf(tip) },
});

const FUTURE_MS = 3_600_000;

interface Tips {
  /** Said with the first permit after the time to act, one after the other. */
  readonly said: readonly Tip[];
  /** In the place of a response about them; nothing is said of what it has no answer to. */
  readonly serve?: (request: RpcRequest, id: number) => readonly ChannelMessage[] | undefined;
}

/** Says these tips for one permit; those of the production node are not said any more. */
export const announcing = (
  name: string,
  breaks: string,
  endsIn: ConnectionBehaviour["endsIn"],
  make: (line: Line) => Tips,
): ConnectionBehaviour => ({
  ...lying(name, breaks, endsIn, (line) => {
    let tips: Tips | null = null;
    let [isPermitted, isSaid] = [false, false];
    const sayNow = (): void => {
      if (tips === null || isSaid || !isPermitted) return;
      isSaid = true;
      line.say(...tips.said.map(tipSaid));
    };
    return {
      hears: ({ channel, message }) => {
        if (channel !== "best-tip" || message.tag !== "getNext") return false;
        isPermitted = true;
        sayNow();
        return tips !== null;
      },
      says: (said) => {
        if (said.channel === "best-tip" && said.message.tag === "bestTip") {
          if (tips !== null) return [];
          isPermitted = false;
        }
        if (tips === null || said.channel !== "rpc" || said.message.tag !== "response") return [said];
        const { id } = said.message;
        const request = line.asked.get(id);
        const served = request === undefined ? undefined : tips.serve?.(request, id);
        return served ?? [said];
      },
      acts: () => {
        tips = make(line);
        sayNow();
      },
    };
  }),
  isRival: true,
});

const isOf = (request: RpcRequest, hash: Hash): boolean =>
  (request.tag === "block" || request.tag === "ancestry") && request.hash === hash;

export const TIP_LIES: readonly ConnectionBehaviour[] = [
  announcing("a tip without a permit", "7.3", "noPermit", (line) => {
    const tip = forgedTip(line);
    // The first is pursued, so that its permit is not renewed meanwhile.
    return { said: [tip, forgedTip(line, { changes: { height: tip.height + 1 } })] };
  }),
  saying("GetNext for tips twice", "7.3", "overLimit", ({ say }) => {
    const permit: ChannelMessage = { channel: "best-tip", message: { tag: "getNext" } };
    say(permit, permit, permit);
  }),
  lying("the same tip again", "7.3", "inferiorTip", (line) => {
    let last: ChannelMessage | null = null;
    return {
      says: (said) => {
        if (said.channel === "best-tip" && said.message.tag === "bestTip") last = said;
        return [said];
      },
      hears: ({ channel, message }) => {
        if (channel === "best-tip" && message.tag === "getNext" && last !== null) line.say(last);
        return false;
      },
    };
  }),
  lying("a worse tip than before", "7.3", "inferiorTip", (line) => {
    let isSaid = false;
    return {
      says: (said) => {
        isSaid ||= said.channel === "best-tip" && said.message.tag === "bestTip";
        return [said];
      },
      hears: ({ channel, message }) => {
        const { genesis } = line.liar.node().state.config.chain;
        if (channel === "best-tip" && message.tag === "getNext" && isSaid) line.say(tipSaid(genesis));
        return false;
      },
    };
  }),
  changing("no tips", "7.4", null, (said) =>
    said.channel === "best-tip" && said.message.tag === "bestTip" ? [] : [said],
  ),

  announcing("a tip with an invalid header", "5", "invalidBlock", (line) => {
    // Better than what is made meanwhile: whose header is not worth a look is not found out.
    const { height } = forgedTip(line);
    return { said: [forgedTip(line, { verdict: "invalid", changes: { height: height + 100 } })] };
  }),
  announcing("a tip of another epoch than its slot's", "5", "invalidBlock", (line) => ({
    said: [forgedTip(line, { changes: { epoch: 77 } })],
  })),
  announcing("a tip whose height is not its parent's and one", "5", "invalidBlock", (line) => ({
    said: [forgedTip(line, { changes: { height: 5_000 } })],
  })),
  announcing("a tip out of the future", "5", null, (line) => {
    const { config, timeMs } = line.liar.node().state;
    const slot = slotAt(config.chain, timeMs + FUTURE_MS);
    const epoch = Math.floor(slot / config.chain.slotsPerEpoch);
    return { said: [forgedTip(line, { changes: { slot, epoch } })] };
  }),
  announcing("a tip whose block is never served", "7.3", null, (line) => {
    const tip = forgedTip(line);
    return { said: [tip], serve: (request) => (isOf(request, tip.hash) ? [] : undefined) };
  }),
  announcing("a tip whose block is not found", "7.3", null, (line) => ({ said: [forgedTip(line)] })),
  announcing("a tip whose items nobody has", "7.3", null, (line) => {
    const body = { transactions: [randomHex(line.liar.random) as Hash], snarks: [] };
    const tip = forgedTip(line, { changes: { bodyRoot: bodyRoot(body) } });
    const block = { tag: "block", header: headerOf(tip), body } as const;
    return {
      said: [tip],
      serve: (request, id) => (isOf(request, tip.hash) ? [response(id, block)] : undefined),
    };
  }),
  announcing("other bytes for an item of a block", "5", "itemMismatch", (line) => {
    const item = randomHex(line.liar.random) as Hash;
    const body = { transactions: [item], snarks: [] };
    const tip = forgedTip(line, { changes: { bodyRoot: bodyRoot(body) } });
    const block = { tag: "block", header: headerOf(tip), body } as const;
    return {
      said: [tip],
      serve: (request, id) => {
        if (isOf(request, tip.hash)) return [response(id, block)];
        if (request.tag !== "transactions" || !request.hashes.includes(item)) return undefined;
        const found = request.hashes.map(() => ({ tag: "some", bytes: Uint8Array.of(1, 2, 3) }) as const);
        return [response(id, { tag: "items", found })];
      },
    };
  }),
  announcing("a body that is not the block's", "5", "itemMismatch", (line) => {
    const tip = forgedTip(line);
    const body = { transactions: [randomHex(line.liar.random) as Hash], snarks: [] };
    const block = { tag: "block", header: headerOf(tip), body } as const;
    return {
      said: [tip],
      serve: (request, id) => (isOf(request, tip.hash) ? [response(id, block)] : undefined),
    };
  }),
  announcing("an invalid block", "5", "invalidBlock", (line) => {
    const tip = forgedTip(line);
    const block = { tag: "block", header: headerOf(tip), body: EMPTY_BODY } as const;
    return {
      said: [tip],
      serve: (request, id) => (isOf(request, tip.hash) ? [response(id, block)] : undefined),
    };
  }),
  announcing("an ancestry that is not linked", "7.7", "responseMismatch", (line) => {
    const { liar, to } = line;
    const { tip: own } = liar.cluster.node(to).state.chain;
    const parent = { ...own, height: own.height + 1, hash: randomHex(liar.random) as Hash };
    const ancestry = { tag: "ancestry", headers: [headerOf(own)] } as const;
    return {
      said: [forgedTip(line, { parent })],
      serve: (request, id) => (isOf(request, parent.hash) ? [response(id, ancestry)] : undefined),
    };
  }),
];
