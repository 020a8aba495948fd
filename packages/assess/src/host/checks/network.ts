import type { Check } from "../../check.ts";
import { capability, type Observation } from "../../observation.ts";
import { makeBench, type Bench, type Seen } from "../bench.ts";
import { parseRuleset } from "../parse/ruleset.ts";
import { parseSockets } from "../parse/sockets.ts";
import type { HostSubject } from "../subject.ts";

/** Programs by which people talk to each other, and the ports that they are known by. */
const personPorts = new Map([
  [25, "mail"],
  [110, "mail"],
  [143, "mail"],
  [465, "mail"],
  [587, "mail"],
  [993, "mail"],
  [5060, "SIP"],
  [5061, "SIP"],
  [5222, "XMPP"],
  [6667, "IRC"],
  [3478, "calls"],
]);

/** C-5: the host forwards nothing that nobody asked for, and drops what is not wanted. */
export const hostNetwork: Check<HostSubject> = {
  id: "C-5",
  version: "1.0",
  title: "Networks stay apart, and the boundary drops by default",
  requirements: ["CR 5.1", "NDR 5.2", "NDR 5.2 RE(1)", "NDR 5.3", "NDR 1.13"],
  part: "whole",
  method: "examine",
  needs: ["root"],
  estimateMs: 2000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const links = await bench.see("links", ["ip", "-br", "link"]);
    const routes = await bench.see("routes", ["ip", "route"]);
    const forward = await bench.see("forwarding", [
      "sh",
      "-c",
      "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding",
    ]);
    const sockets = await bench.see("sockets", ["ss", "-Htulnp"]);
    const open = parseSockets(sockets.stdout);
    const people = open.filter(({ port, isLoopback }) => !isLoopback && personPorts.has(port));
    const everywhere = open.filter(({ address }) => /^(?:\*|0\.0\.0\.0|::)$/.test(address));
    const isForwarding = /1/.test(forward.stdout);
    const count = links.stdout.split("\n").filter((line) => line !== "" && !/^lo\b/.test(line)).length;
    return {
      observations: [
        capability({
          name: "forwarding between networks",
          expected: "off, unless the product is a router",
          observed: `${isForwarding ? "on" : "off"}, ${count} interfaces`,
          holds: forward.exit === 0 ? !isForwarding : undefined,
          requirements: ["CR 5.1"],
          evidence: [...forward.evidence, ...links.evidence, ...routes.evidence],
        }),
        capability({
          name: "services bound to an interface",
          expected: "each to the network that it is for",
          observed:
            everywhere.length === 0
              ? "all are bound"
              : `on every interface: ${everywhere
                  .map(({ program, port, protocol }) => `${program ?? "?"} ${port}/${protocol}`)
                  .slice(0, 8)
                  .join(", ")}`,
          holds: sockets.exit === 0 ? everywhere.length === 0 || count < 2 : undefined,
          otherwise: "partial",
          requirements: ["CR 5.1"],
          evidence: sockets.evidence,
        }),
        capability({
          name: "services by which people talk to each other",
          expected: "none",
          observed:
            people.length === 0
              ? "none"
              : people.map(({ port }) => `${port} (${personPorts.get(port) ?? ""})`).join(", "),
          holds: sockets.exit === 0 ? people.length === 0 : undefined,
          requirements: ["NDR 5.3"],
          evidence: sockets.evidence,
        }),
        capability({
          name: "mail, chat and calls through the device",
          expected: "blocked at the boundary",
          observed: "not tried: it needs traffic from both sides of a network device",
          holds: undefined,
          requirements: ["NDR 5.3"],
        }),
        ...(await boundary(bench)),
      ],
      howMet: "The host forwards nothing between its networks.",
      limits: [
        "a network device's boundary must be tried with traffic from both sides: here its rules were read",
        "island mode, failing closed and approval of access are the product's: they were not tried",
      ],
      userAction:
        "Plan the segmentation in the product's network; open used ports only; block mail, chat and calls at the boundary.",
    };
  },
};

async function boundary(bench: Bench): Promise<readonly Observation[]> {
  const isThere = await bench.subject.has("nft");
  const rules: Seen | undefined = isThere ? await bench.see("ruleset", ["nft", "list", "ruleset"]) : undefined;
  const evidence = rules?.evidence ?? [];
  const { policies, hasLog } = parseRuleset(rules?.stdout ?? "");
  const drops = policies.get("input") === "drop" && policies.get("forward") === "drop";
  const told =
    rules === undefined
      ? "nft is not installed"
      : [...policies].map(([hook, policy]) => `${hook} ${policy}`).join(", ") || "no rules";
  return [
    capability({
      name: "traffic that no rule allows",
      expected: "dropped on the way in and through",
      observed: told,
      holds: rules === undefined || rules.exit !== 0 ? undefined : drops,
      requirements: ["NDR 5.2", "NDR 5.2 RE(1)", "NDR 1.13"],
      evidence,
    }),
    capability({
      name: "attempts from untrusted networks",
      expected: "a rule writes them to the log",
      observed: rules === undefined ? "nft is not installed" : hasLog ? "logged" : "not logged",
      holds: rules === undefined || rules.exit !== 0 ? undefined : hasLog,
      otherwise: "partial",
      requirements: ["NDR 1.13"],
      evidence,
    }),
  ];
}
