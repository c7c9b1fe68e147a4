import type { KeyObject } from "node:crypto";
import type { ChainEvent } from "../../core/actions.ts";
import type { Hex } from "../../core/bytes.ts";
import type { AttemptId } from "../../core/ids.ts";
import type { SharedThread } from "../shared-thread.ts";
import type { Aside } from "./aside.ts";
import type { BlockTree } from "./blocks.ts";
import type { Genesis } from "./genesis.ts";
import type { ItemStore } from "./items.ts";

/** What the parts of the embedded chain share. */
export interface Parts {
  readonly genesis: Genesis;
  readonly items: ItemStore;
  readonly blocks: BlockTree;
  readonly aside: Aside;
  /**
   * Every event leaves in a later turn of the event loop, in the order of these calls. What an event says is computed
   * right before the call, so all events together tell one story: a verdict that comes after `event/tipAdopted` refers
   * to the new tip.
   */
  readonly emitLater: (event: ChainEvent) => void;
  /** What peers are served waits for their turns instead, as chunks of streams do: their order is free. */
  readonly serving: SharedThread<AttemptId>;
  /** For callers that are in a turn of the event loop of their own already. */
  readonly emit: (event: ChainEvent) => void;
  /** ms since the Unix epoch */
  readonly clock: () => number;
  /** Who produces blocks and is paid for work, if this node does. */
  readonly account: Producer | null;
}

export interface Producer {
  readonly key: KeyObject;
  readonly publicKey: Hex;
}
