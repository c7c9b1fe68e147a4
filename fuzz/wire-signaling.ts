import type { DiscoveryMessage } from "../core/channels/discovery.ts";
import type { ExchangeMessage } from "../core/channels/exchange.ts";

/** 7.1 and 7.2 as somebody sees them who reads the messages of one permit, from whoever gave it or holds it. */
export interface Flow {
  readonly step: "none" | "given" | "asked" | "told" | "accepted";
  /** What the other end may have sent before it knew how far the flow is; null: nothing. */
  readonly mayCross: "answer" | "decision" | "permit" | null;
}

export const NO_FLOW: Flow = { step: "none", mayCross: null };

export interface NextFlow {
  readonly flow: Flow;
  readonly problems: readonly string[];
}

const to = (step: Flow["step"], mayCross: Flow["mayCross"] = null): NextFlow => ({
  flow: { step, mayCross },
  problems: [],
});

export function discoveryFlow(flow: Flow, way: string, message: DiscoveryMessage): NextFlow {
  const { step, mayCross } = flow;
  const wrong = { flow, problems: [`${way} ${message.tag} while the discovery flow is ${step}`] };
  switch (message.tag) {
    case "getNext":
      return step === "none" ? to("given", mayCross) : wrong;
    case "discover":
      return step === "given" ? to("asked") : wrong;
    case "discovered":
      return step === "asked" ? to("told") : wrong;
    case "reject":
    case "accept":
      if (step === "told") return message.tag === "accept" ? to("accepted") : to("none", "answer");
      return mayCross === "decision" ? to(step) : wrong;
    case "answer":
      if (step === "none" || step === "given") return mayCross === "answer" ? to(step) : wrong;
      if (step !== "accepted" && message.reply !== null)
        return { flow: NO_FLOW, problems: [`${way} a reply to an offer that was not made`] };
      return to("none", step === "told" ? "decision" : null);
  }
}

/** A permit that has lapsed is given again. An Offer that crosses that uses the new one. */
export function exchangeFlow(flow: Flow, way: string, message: ExchangeMessage): NextFlow {
  const { step } = flow;
  const wrong = { flow, problems: [`${way} ${message.tag} while the exchange flow is ${step}`] };
  switch (message.tag) {
    case "getNext":
      if (step !== "accepted") return to("given");
      return flow.mayCross === "permit" ? to(step) : wrong;
    case "offer":
      return step === "given" ? to("accepted", "permit") : wrong;
    case "answer":
      return step === "accepted" ? to("none") : wrong;
  }
}
