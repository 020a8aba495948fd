import { readFileSync } from "node:fs";
import {
  ConnectionType,
  ForwardClose,
  ForwardOpen,
  Status,
  UnconnectedSend,
  connectionStatusText,
  encode,
  objectPath,
  type NetworkParameters,
  type Reply,
  type Segment,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { forwardOpen } from "./support/connection.ts";
import { request, requestContext } from "./support/device.ts";
import { hex } from "./support/fakes.ts";
import {
  configuration,
  heartbeatOpen,
  inputOnly,
  inputs,
  ioDevice,
  listenOnly,
  multicast,
  originatorAt,
  outputs,
  ownerOpen,
  points,
} from "./support/io.ts";
import { runDevice, type TargetSession } from "./support/target-session.ts";

/*
 * One request for each extended status of general status 0x01 that a device can return, over a session with a device that runs.
 * Those that it cannot return have their reason in docs/connection-statuses.md, and a test holds the two together.
 */

/** Points of a device with one of everything. */
const special = { input: 110, zeroOut: 105, needy: 106, single: 250 } as const;

const description = {
  assemblies: [
    { instance: inputs, kind: "input", size: 6 },
    { instance: special.input, kind: "input", size: 6 },
    { instance: outputs, kind: "output", size: 4 },
    { instance: special.zeroOut, kind: "output", size: 4 },
    { instance: special.needy, kind: "output", size: 4 },
    { instance: configuration, kind: "configuration", size: 3 },
  ],
  connections: [
    { type: "exclusive-owner", consume: outputs, produce: inputs, configuration },
    { type: "input-only", consume: inputOnly, produce: inputs, configuration },
    { type: "listen-only", consume: listenOnly, produce: inputs, configuration },
    {
      type: "exclusive-owner",
      consume: special.zeroOut,
      produce: special.input,
      oToTFormat: "zero-length",
      priorities: ["scheduled"],
    },
    {
      type: "exclusive-owner",
      consume: special.needy,
      produce: special.input,
      configuration,
      needsConfiguration: true,
    },
    {
      type: "input-only",
      consume: special.single,
      produce: special.input,
      tToOFormat: "zero-length",
      maxConnections: 1,
    },
  ],
};

interface Row {
  readonly extended: number;
  readonly name: string;
  /** A Forward_Open, or what else is asked. */
  readonly ask: ForwardOpen | ((session: TargetSession) => Promise<Reply>);
  /** Opened before, all granted. */
  readonly before?: readonly ForwardOpen[];
  readonly more?: Readonly<Record<string, unknown>>;
}

const all = points(configuration, outputs, inputs);
const o = (more: Partial<NetworkParameters>): NetworkParameters => ({ ...ownerOpen().oToT, ...more });
const t = (more: Partial<NetworkParameters>): NetworkParameters => ({ ...ownerOpen().tToO, ...more });
const inhibit = (ms: number): Segment => ({ kind: "network", type: 0x43, data: Uint8Array.of(ms) });
const hop = (port: number, slot: number): Segment => ({ kind: "port", port, link: Uint8Array.of(slot) });
const data = (text: string): Segment => ({ kind: "data", words: hex(text) });
const key = (more: object): Segment => ({
  kind: "key",
  key: {
    vendorId: 0,
    deviceType: 0,
    productCode: 0,
    compatibility: false,
    majorRevision: 0,
    minorRevision: 0,
    ...more,
  },
});
const keyed = (more: object): ForwardOpen => ownerOpen({ path: [key(more), ...all] });
const zeroOut = (more: Partial<ForwardOpen> = {}): ForwardOpen =>
  ownerOpen({ path: points(special.zeroOut, special.input), oToT: o({ size: 6, variable: true }), ...more });
const single = (more: Partial<ForwardOpen> = {}): ForwardOpen =>
  ownerOpen({
    path: points(special.single, special.input),
    oToT: o({ size: 2 }),
    tToO: t({ variable: true }),
    ...more,
  });
const running = multicast(heartbeatOpen(inputOnly));
const joining = (more: Partial<ForwardOpen>, produced: Partial<NetworkParameters> = {}): ForwardOpen => {
  const open = multicast(heartbeatOpen(inputOnly, more));
  return { ...open, tToO: { ...open.tToO, ...produced } };
};
const triggered = multicast(heartbeatOpen(inputOnly, { transport: 0x11 }));
const twice = ownerOpen();

const rows: readonly Row[] = [
  { extended: 0x0100, name: "the triad is in use", before: [twice], ask: twice },
  {
    extended: 0x0103,
    name: "I/O on a device whose I/O port is not there",
    ask: ownerOpen(),
    more: { ports: { io: null } },
  },
  { extended: 0x0106, name: "a second owner", before: [ownerOpen()], ask: ownerOpen() },
  {
    extended: 0x0107,
    name: "Forward_Close of no connection",
    ask: (session) =>
      session.request(
        request(0x4e, [6, 1], encode(ForwardClose, { ...ownerOpen(), priorityTick: 0, timeoutTicks: 0 })),
      ),
  },
  { extended: 0x0108, name: "a reserved bit", ask: ownerOpen({ tToO: t({ reservedBits: 0x1000 }) }) },
  {
    extended: 0x0110,
    name: "a configuration that nobody has set",
    ask: ownerOpen({ path: points(configuration, special.needy, special.input) }),
  },
  { extended: 0x0111, name: "an interval of 0", ask: ownerOpen({ tToORpiMicros: 0 }) },
  { extended: 0x0112, name: "an interval below the point's", ask: ownerOpen({ oToTRpiMicros: 999 }) },
  {
    extended: 0x0113,
    name: "the device is full",
    before: [ownerOpen()],
    ask: heartbeatOpen(inputOnly),
    more: { limits: { ioConnections: 1 } },
  },
  { extended: 0x0114, name: "another vendor", ask: keyed({ vendorId: 9 }) },
  { extended: 0x0115, name: "another device type", ask: keyed({ deviceType: 9 }) },
  { extended: 0x0116, name: "another revision", ask: keyed({ majorRevision: 9 }) },
  { extended: 0x0117, name: "no point", ask: ownerOpen({ path: points() }) },
  { extended: 0x0119, name: "nobody to listen to", ask: heartbeatOpen(listenOnly) },
  { extended: 0x011a, name: "the point is full", before: [single()], ask: single() },
  {
    extended: 0x011b,
    name: "an inhibit time above the interval",
    ask: ownerOpen({ path: [inhibit(11), ...all], transport: 0x11 }),
  },
  { extended: 0x011c, name: "class 2", ask: ownerOpen({ transport: 0x02 }) },
  { extended: 0x011d, name: "a reserved trigger", ask: ownerOpen({ transport: 0x31 }) },
  { extended: 0x011e, name: "class 3 as its client", ask: forwardOpen({ transport: 0x23 }) },
  { extended: 0x011f, name: "fixed where idle shows by no data", ask: zeroOut({ oToT: o({ size: 6 }) }) },
  { extended: 0x0120, name: "the same T→O", ask: single({ tToO: t({ variable: false }) }) },
  {
    extended: 0x0121,
    name: "O→T of another priority",
    ask: zeroOut({ oToT: o({ size: 6, variable: true, priority: 0 }) }),
  },
  { extended: 0x0122, name: "T→O of another priority", ask: zeroOut({ tToO: t({ priority: 3 }) }) },
  { extended: 0x0123, name: "O→T multicast", ask: ownerOpen({ oToT: o({ type: ConnectionType.multicast }) }) },
  { extended: 0x0124, name: "T→O of reserved type", ask: ownerOpen({ tToO: t({ type: 3 }) }) },
  { extended: 0x0125, name: "a redundant owner", ask: ownerOpen({ oToT: o({ redundantOwner: true }) }) },
  { extended: 0x0126, name: "too few configuration data", ask: ownerOpen({ path: [...all, data("0102")] }) },
  { extended: 0x0127, name: "O→T too small", ask: ownerOpen({ oToT: o({ size: 9 }) }) },
  { extended: 0x0128, name: "T→O too large", ask: ownerOpen({ tToO: t({ size: 99 }) }) },
  { extended: 0x0129, name: "another configuration", ask: ownerOpen({ path: points(99, outputs, inputs) }) },
  { extended: 0x012a, name: "an unknown consuming point", ask: ownerOpen({ path: points(7, inputs) }) },
  { extended: 0x012b, name: "an unknown producing point", ask: ownerOpen({ path: points(outputs, 7) }) },
  {
    extended: 0x012f,
    name: "points that do not go together",
    ask: ownerOpen({ path: points(outputs, special.input) }),
  },
  {
    extended: 0x0132,
    name: "null, of what has no configuration",
    ask: forwardOpen({ oToT: o({ type: 0 }), tToO: t({ type: 0 }) }),
  },
  { extended: 0x0133, name: "a reserved timeout multiplier", ask: ownerOpen({ timeoutMultiplier: 8 }) },
  {
    extended: 0x0135,
    name: "joins with a variable size",
    before: [running],
    ask: joining({}, { variable: true }),
  },
  { extended: 0x0136, name: "joins with another priority", before: [running], ask: joining({}, { priority: 0 }) },
  {
    extended: 0x0137,
    name: "joins with another class",
    before: [running],
    ask: { ...joining({ transport: 0x00 }, { size: 6 }), oToT: o({ size: 0 }) },
  },
  { extended: 0x0138, name: "joins with another trigger", before: [running], ask: joining({ transport: 0x11 }) },
  {
    extended: 0x0139,
    name: "joins with another inhibit time",
    before: [triggered],
    ask: joining({ transport: 0x11, path: [inhibit(5), ...points(configuration, inputOnly, inputs)] }),
  },
  {
    extended: 0x0205,
    name: "Unconnected_Send without a message",
    ask: (session) => unconnected(session, [hop(1, 0)], Uint8Array.of(1)),
  },
  { extended: 0x0311, name: "a hop over a port that is not there", ask: ownerOpen({ path: [hop(2, 0), ...all] }) },
  { extended: 0x0312, name: "a hop to another slot", ask: ownerOpen({ path: [hop(1, 3), ...all] }) },
  { extended: 0x0315, name: "a segment behind the data", ask: ownerOpen({ path: [data("0000"), ...all] }) },
  { extended: 0x0918, name: "no rule", ask: ownerOpen(), more: { ingress: ["action=allow;ip=192.0.2.0/24"] } },
  { extended: 0x0919, name: "a rule denies", ask: ownerOpen(), more: { ingress: ["action=deny;ip=127.0.0.0/8"] } },
  {
    extended: 0x091a,
    name: "a rule needs security",
    ask: ownerOpen(),
    more: { ingress: ["action=allow;sec=required"] },
  },
];

/** Statuses that a device on loopback cannot be brought to: asked of its router, as if from elsewhere. */
const byRouter: readonly { readonly extended: number; readonly name: string; readonly ask: () => Promise<Reply> }[] = [
  {
    extended: 0x0813,
    name: "multicast to another subnet",
    ask: () => ioDevice().open(multicast(ownerOpen()), originatorAt("198.51.100.9")),
  },
];

function unconnected(session: TargetSession, route: readonly Segment[], message: Uint8Array): Promise<Reply> {
  const octets = encode(UnconnectedSend, { priorityTick: 10, timeoutTicks: 14, message, route });
  return session.request(request(0x52, [6, 1], octets));
}

async function open(session: TargetSession, asked: ForwardOpen): Promise<Reply> {
  return session.request(request(0x54, [6, 1], encode(ForwardOpen, asked)));
}

function hexOf(extended: number): string {
  return `0x${extended.toString(16).toUpperCase().padStart(4, "0")}`;
}

describe("over a session", () => {
  test.each(rows.map((row) => ({ ...row, code: hexOf(row.extended) })))("$code: $name", async (row) => {
    await using device = await runDevice("127.33.2.1", { ...description, ...row.more });
    const session = await device.session();
    for (const one of row.before ?? []) expect(await open(session, one)).toMatchObject({ status: Status.success });
    const held = device.target.io.connections;
    const reply = typeof row.ask === "function" ? await row.ask(session) : await open(session, row.ask);
    expect({ status: reply.status, extended: reply.extended[0] }).toEqual({
      status: Status.connectionFailure,
      extended: row.extended,
    });
    expect(device.target.io.connections).toBe(held);
    expect((await session.request(request(0x0e, [1, 1, 1]))).status).toBe(Status.success);
  });
});

test.each(byRouter.map((row) => ({ ...row, code: hexOf(row.extended) })))("$code: $name", async ({ ask, extended }) => {
  const reply = await ask();
  expect({ status: reply.status, extended: reply.extended[0] }).toEqual({ status: 1, extended });
});

test("0x0103 of a request outside a session", async () => {
  const { router } = ioDevice();
  const open = encode(ForwardOpen, forwardOpen({ path: objectPath(2, 1) }));
  const reply = await router.handle(request(0x54, [6, 1], open), { ...requestContext(), session: 0 });
  expect(reply.extended).toEqual([0x0103]);
});

describe("docs/connection-statuses.md", () => {
  const page = readFileSync(new URL("../../../docs/connection-statuses.md", import.meta.url), "utf8");
  const listed = new Map(
    [...page.matchAll(/^\| (0x[0-9A-F]{4}) +\|[^|]*\| ([^|]*?) +\|$/gm)].map(([, code = "", what = ""]) => [
      code,
      what,
    ]),
  );
  const known = Array.from({ length: 0x1000 }, (_, code) => code).filter(
    (code) => !connectionStatusText(code).startsWith("unknown"),
  );
  const returned = new Set([...rows, ...byRouter].map(({ extended }) => hexOf(extended)));

  test("has every extended status that has a meaning, and no other", () => {
    expect([...listed.keys()].toSorted()).toEqual(known.map(hexOf).toSorted());
  });

  test("says of each whether it is returned, as tested here, or why not", () => {
    const said = [...listed].filter(([, what]) => what.startsWith("returned")).map(([code]) => code);
    expect(said.toSorted()).toEqual([...returned].toSorted());
    for (const [code, what] of listed) expect(what, code).not.toBe("");
  });
});
