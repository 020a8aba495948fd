import { expect, test } from "vitest";
import { FragmentStore } from "../src/fragments.ts";
import { openIp } from "../src/ip.ts";
import { linkTypes, unwrapLink } from "../src/link.ts";
import { openSegment } from "../src/segments.ts";
import { hex, ipFrame, toHex } from "./frames.ts";

// 10.0.0.1:2222 to 10.0.0.2:2222, payload cafe, by hand from RFC 791 and RFC 768.
const udp = "08ae 08ae 000a 0000 cafe";
const ipv4 = `4500001e 00000000 40110000 0a000001 0a000002 ${udp}`;
const ends = "fd000000000000000000000000000001 fd000000000000000000000000000002";
const ipv6 = `60000000 000a 11 40 ${ends} ${udp}`;
const macs = "020000000002 020000000001";

const open = (linkType: number, text: string): string => {
  const link = unwrapLink(linkType, hex(text));
  if (link === undefined) return "none";
  const packet = "damaged" in link ? link : openIp(link.ip, new FragmentStore(), 0);
  if (packet === undefined) return "waiting";
  const segment = "damaged" in packet ? packet : openSegment(packet);
  if (segment === undefined) return "other protocol";
  if ("damaged" in segment) return `damaged: ${segment.damaged}`;
  return `${segment.protocol} ${segment.src.address}:${segment.src.port} ${segment.dst.address}:${segment.dst.port} ${toHex(segment.payload)}${segment.missing > 0 ? ` -${segment.missing}` : ""}`;
};

const v4 = "udp 10.0.0.1:2222 10.0.0.2:2222 cafe";
const v6 = "udp fd00::1:2222 fd00::2:2222 cafe";

test.each([
  { name: "Ethernet", type: linkTypes.ethernet, bytes: `${macs} 0800 ${ipv4}`, is: v4 },
  { name: "Ethernet padding is cut", type: linkTypes.ethernet, bytes: `${macs} 0800 ${ipv4} 000000000000`, is: v4 },
  { name: "802.1Q", type: linkTypes.ethernet, bytes: `${macs} 8100 a005 0800 ${ipv4}`, is: v4 },
  { name: "QinQ", type: linkTypes.ethernet, bytes: `${macs} 88a8 0001 8100 a005 86dd ${ipv6}`, is: v6 },
  {
    name: "tag cut short",
    type: linkTypes.ethernet,
    bytes: `${macs} 8100 a005`,
    is: "damaged: VLAN tag: the frame ends inside it",
  },
  { name: "ARP", type: linkTypes.ethernet, bytes: `${macs} 0806 0001`, is: "none" },
  {
    name: "Ethernet cut short",
    type: linkTypes.ethernet,
    bytes: "0200",
    is: "damaged: link header: the frame has only 2 octets",
  },
  { name: "Linux cooked", type: linkTypes.linuxCooked, bytes: `0000 0001 0006 0000000000000000 0800 ${ipv4}`, is: v4 },
  {
    name: "Linux cooked 2",
    type: linkTypes.linuxCooked2,
    bytes: `86dd 0000 00000001 0001 00 06 0000000000000000 ${ipv6}`,
    is: v6,
  },
  { name: "BSD loopback", type: linkTypes.null, bytes: `02000000 ${ipv4}`, is: v4 },
  { name: "OpenBSD loopback", type: linkTypes.loop, bytes: `00000018 ${ipv6}`, is: v6 },
  { name: "raw", type: linkTypes.raw, bytes: ipv6, is: v6 },
  { name: "raw IPv4", type: linkTypes.ipv4, bytes: ipv4, is: v4 },
  { name: "raw IPv6", type: linkTypes.ipv6, bytes: ipv6, is: v6 },
  { name: "unknown link type", type: 147, bytes: ipv4, is: "none" },
])("link: $name", ({ type, bytes, is }) => expect(open(type, bytes)).toBe(is));

test.each([
  { name: "options", bytes: `46000022 00000000 40110000 0a000001 0a000002 01010101 ${udp}`, is: v4 },
  { name: "total length zero is all", bytes: `45000000 00000000 40110000 0a000001 0a000002 ${udp}`, is: v4 },
  { name: "cut by the snap length", bytes: ipv4.slice(0, -2), is: `${v4.slice(0, -2)} -1` },
  {
    name: "header length below 5",
    bytes: `4400001e${ipv4.slice(8)}`,
    is: "damaged: IPv4 header: header length 16 does not fit total length 30",
  },
  {
    name: "total length below the header",
    bytes: `45000010${ipv4.slice(8)}`,
    is: "damaged: IPv4 header: header length 20 does not fit total length 16",
  },
  {
    name: "UDP length past the packet",
    bytes: ipv4.replace("000a 0000 cafe", "000b 0000 cafe"),
    is: "damaged: UDP header: length 11 does not fit the 10 octets of its packet",
  },
  {
    name: "UDP length beats the IP length",
    bytes: ipv4.replace("000a 0000 cafe", "0009 0000 cafe"),
    is: v4.slice(0, -2),
  },
  {
    name: "UDP header cut",
    bytes: "45000018 00000000 40110000 0a000001 0a000002 08ae08ae",
    is: "damaged: UDP header: 8 octets needed, 4 captured",
  },
  {
    name: "TCP header cut",
    bytes: "45000018 00000000 40060000 0a000001 0a000002 08ae08ae",
    is: "damaged: TCP header: 20 octets needed, 4 captured",
  },
  {
    name: "TCP data offset",
    bytes: "45000028 00000000 40060000 0a000001 0a000002 08ae08ae 00000000 00000000 40100000 00000000",
    is: "damaged: TCP header: data offset 16 does not fit its packet",
  },
  { name: "ICMP", bytes: "4500001c 00000000 40010000 0a000001 0a000002 0800000000000000", is: "other protocol" },
])("IPv4: $name", ({ bytes, is }) => expect(open(linkTypes.raw, bytes)).toBe(is));

test.each([
  {
    name: "hop-by-hop, destination and authentication headers",
    next: "00",
    extensions: "3c00000000000000 3300000000000000 1101000000000000 00000000",
    is: v6,
  },
  { name: "atomic fragment", next: "2c", extensions: "1100000000000001", is: v6 },
  {
    name: "extension past the packet",
    next: "00",
    extensions: "11ff000000000000",
    is: "damaged: IPv6 extension header: it runs past the payload length",
  },
])("IPv6: $name", ({ next, extensions, is }) => {
  const payload = hex(extensions + udp).length;
  const header = `60000000 ${payload.toString(16).padStart(4, "0")} ${next} 40 ${ends}`;
  expect(open(linkTypes.raw, `${header} ${extensions} ${udp}`)).toBe(is);
});

test.each([
  { group: "0000000000000000 0000000000000000", text: "::" },
  { group: "2001 0db8 0000 0000 0001 0000 0000 0001", text: "2001:db8::1:0:0:1" },
  { group: "2001 0db8 0000 0001 0001 0001 0001 0001", text: "2001:db8:0:1:1:1:1:1" },
  { group: "2001 0000 0000 0001 0000 0000 0000 0000", text: "2001:0:0:1::" },
])("IPv6 text of $text (RFC 5952)", ({ group, text }) => {
  expect(openIp(hex(`60000000 0000 3b 40 ${group} ${group}`), new FragmentStore(), 0)).toMatchObject({
    src: text,
    dst: text,
  });
});

const fragmentOf = (offset: number, more: boolean, bytes: string, id = 1, seconds = 0, store = shared) =>
  openIp(ipFrame(0, 17, hex(bytes), (more ? 0x2000 : 0) | (offset / 8), id).subarray(14), store, seconds);
let shared = new FragmentStore();

test("IPv4 fragments in any order, first copy kept", () => {
  shared = new FragmentStore();
  expect(fragmentOf(16, false, "cc")).toBeUndefined();
  expect(fragmentOf(8, true, "bbbbbbbbbbbbbbbb")).toBeUndefined();
  expect(fragmentOf(8, true, "dddddddddddddddd")).toBeUndefined();
  const whole = fragmentOf(0, true, "aaaaaaaaaaaaaaaa");
  expect(whole).toMatchObject({ bytes: hex("aaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbb cc"), missing: 0 });
  expect(shared.incomplete).toBe(0);
});

test("fragments that never complete are counted, not kept for ever", () => {
  shared = new FragmentStore();
  for (let id = 0; id < 500; id++) fragmentOf(0, true, "aaaaaaaaaaaaaaaa", id);
  expect(shared.incomplete).toBe(500);
  expect(fragmentOf(8, false, "bb", 499, 61)).toBeUndefined();
  expect(fragmentOf(65_528, false, "aa".repeat(8))).toEqual({ damaged: expect.stringContaining("65535") });
  const flood = Array.from({ length: 200 }, (_, index) => fragmentOf(index * 16, true, "aa".repeat(8), 7000));
  expect(flood).toContainEqual({ damaged: expect.stringContaining("more than 128") });
});
