import { requirements } from "./requirement.ts";

/** Foundational requirement 5; own paraphrases, never the standard's text. */
export const fr5 = requirements([
  {
    id: "CR 5.1",
    title: "Network segmentation",
    summary: "The component works in a network split into zones and conduits.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter; works in segmented networks.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: 'Depends on the application; normally done with switches and routers. The FR-4 and FR-5 report also names an "NDR-5.1", which does not exist in the standard.',
      userAction: "Implement segmentation in the product's network set-up.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "CR 5.2",
    title: "Zone boundary protection",
    summary: "Placeholder number: the rule exists only for network devices as NDR 5.2.",
    firstLevel: null,
    seeAlso: ["NDR 5.2", "NDR 5.2 RE(1)", "NDR 5.2 RE(2)", "NDR 5.2 RE(3)"],
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter. Not applicable to a device that is no network device.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "Component specific, handled under NDR 5.2.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "NDR 5.2",
    title: "Zone boundary protection",
    summary: "The boundary device watches and controls traffic between zones.",
    firstLevel: 1,
    seeAlso: ["CR 5.2"],
    odva: {
      note: "The paper judges this only under the placeholder CR 5.2; no verdict of its own.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "Aims at routers, gateways and switches; the platform has no such hardware.",
      userAction: "Check the end product's hardware and software; the OS offers the base functions.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "NDR 5.2 RE(1)",
    title: "Deny all, permit by exception",
    summary: "Traffic is refused unless a rule lets it pass.",
    firstLevel: 2,
    seeAlso: ["CR 5.2"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "Could be done with nftables, but follows its base requirement.",
      userAction: "As NDR 5.2.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "NDR 5.2 RE(2)",
    title: "Island mode",
    summary: "All traffic across the boundary can be cut.",
    firstLevel: 3,
    seeAlso: ["CR 5.2"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "SL-3, not evaluated.",
      userAction: "As NDR 5.2.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "NDR 5.2 RE(3)",
    title: "Fail close",
    summary: "If boundary protection fails, traffic stops.",
    firstLevel: 3,
    seeAlso: ["CR 5.2"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "SL-3, not evaluated.",
      userAction: "As NDR 5.2.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "CR 5.3",
    title: "General-purpose person-to-person communication restrictions",
    summary: "Placeholder number: the rule exists only for network devices as NDR 5.3.",
    firstLevel: null,
    seeAlso: ["NDR 5.3"],
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "CIP carries no person-to-person messages. Not applicable to a device that is no network device.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "Application specific.",
      userAction: "Block the ports of such applications, for example with nftables.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "NDR 5.3",
    title: "General purpose, person-to-person communication restrictions",
    summary: "Messages between people coming from outside the system can be kept out at the boundary.",
    firstLevel: 1,
    seeAlso: ["CR 5.3"],
    odva: {
      note: "The paper judges this only under the placeholder CR 5.3; no verdict of its own.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "Application specific.",
      userAction: "Block the ports of such applications, for example with nftables.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "CR 5.4",
    title: "Application partitioning",
    summary: "Placeholder number: no component-level requirement exists.",
    firstLevel: null,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "No component-level requirement exists for this number; the paper still lists it as out of scope.",
    },
    cipLinux: {
      verdict: "not-applicable",
      how: "Depends on the architecture of the end product.",
      userAction: "Assess and implement partitioning in the product.",
      source: "linux-fr4-fr5",
    },
  },
]);
