import { describe, expect, test } from "vitest";
import { readDescription } from "../src/description.ts";
import { ingressRefusal, type IngressRule } from "../src/ingress.ts";
import { identity } from "./support/device.ts";
import { dtlsFacts, plainFacts, tlsFacts } from "./support/fakes.ts";

const rules = (...ingress: readonly unknown[]): readonly IngressRule[] =>
  readDescription({ name: "d", identity, ingress }).ingress ?? [];

const from = (address: string) => ({ ...plainFacts, remote: { address, port: 50_000 } });
const plain = from("192.168.7.9");
const tls = tlsFacts("aa");

describe("who may open connections, cip-security.md 3.6", () => {
  test.each([
    { name: "no rules at all: anybody", ingress: [], channel: plain, refusal: undefined },
    { name: "all", ingress: ["action=allow"], channel: plain, refusal: undefined },
    { name: "within the network", ingress: ["action=allow;ip=192.168.0.0/16"], channel: plain, refusal: undefined },
    { name: "beside the network", ingress: ["action=allow;ip=192.168.8.0/24"], channel: plain, refusal: 0x0918 },
    { name: "one address", ingress: ["action=allow;ip=192.168.7.9"], channel: plain, refusal: undefined },
    { name: "the upper half of all", ingress: ["action=allow;ip=128.0.0.0/1"], channel: plain, refusal: undefined },
    { name: "denied", ingress: ["action=deny"], channel: plain, refusal: 0x0919 },
    {
      name: "the first rule decides",
      ingress: ["action=deny;ip=192.168.7.9", "action=allow"],
      channel: plain,
      refusal: 0x0919,
    },
    { name: "another port", ingress: ["action=allow;port=2221"], channel: plain, refusal: 0x0918 },
    { name: "among ports", ingress: ["action=allow;port=44000-45000"], channel: plain, refusal: undefined },
    { name: "TCP", ingress: ["action=allow;proto=tcp"], channel: tls, refusal: undefined },
    { name: "not UDP", ingress: ["action=allow;proto=udp"], channel: tls, refusal: 0x0918 },
    { name: "UDP", ingress: ["action=allow;proto=udp"], channel: dtlsFacts("aa"), refusal: undefined },
    { name: "not secured", ingress: ["action=allow;sec=required"], channel: plain, refusal: 0x091a },
    { name: "secured", ingress: ["action=allow;sec=required"], channel: tls, refusal: undefined },
    { name: "a rule for plain channels only", ingress: ["action=allow;sec=none"], channel: tls, refusal: 0x0918 },
    { name: "one of its suites", ingress: ["action=allow;ciphers=C02C,C02B"], channel: tls, refusal: undefined },
    { name: "none of its suites", ingress: ["action=allow;ciphers=C02C"], channel: tls, refusal: 0x0919 },
  ])("$name", ({ ingress, channel, refusal }) => {
    expect(ingressRefusal(rules(...ingress), channel)).toBe(refusal);
  });

  test.each([
    5,
    "",
    "ip=*",
    "action=maybe",
    "action=allow;action=deny",
    "action=allow;user=x",
    "action=allow;ip",
    "action=allow;ip=1.2.3",
    "action=allow;ip=1.2.3.4/33",
    "action=allow;ip=1.2.3.4/8/8",
    "action=allow;port=0-65536",
    "action=allow;port=9-8",
    "action=allow;port=x",
    "action=allow;proto=icmp",
    "action=allow;sec=maybe",
    "action=allow;ciphers=C02",
    `action=allow;ciphers=${"C02B,".repeat(60)}C02B`,
  ])("refuses the rule %j", (rule) => {
    expect(() => rules(rule)).toThrow(
      expect.objectContaining({ code: "usage/file", facts: { where: "device.ingress[0]" } }),
    );
  });
});
