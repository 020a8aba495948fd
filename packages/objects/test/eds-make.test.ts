import { encode, EPATH, UINT, objectPath } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import {
  Assembly,
  CertificateManagement,
  CipSecurity,
  ConnectionManager,
  EtherNetIpSecurity,
  FileObject,
  Identity,
  MessageRouter,
  Parameter,
  Qos,
  TcpIpInterface,
  connectionRequest,
  makeEds,
  objectClass,
  parseEds,
  writeEds,
  type EdsDescription,
} from "../src/index.ts";

const time = { hours: 9, minutes: 5, seconds: 0 };
const rpi = { minimum: 2_000, maximum: 500_000, default: 20_000 };

const least: EdsDescription = {
  file: {
    description: "Least",
    created: { date: { year: 2026, month: 3, day: 1 }, time },
    revision: { major: 1, minor: 0 },
  },
  device: {
    vendorId: 65520,
    vendorName: "Example",
    deviceType: 43,
    deviceTypeText: "Generic Device",
    productCode: 7,
    revision: { major: 3, minor: 2 },
    productName: "Least",
  },
};

const full: EdsDescription = {
  file: {
    ...least.file,
    description: 'Says "all"; with \\ and $',
    modified: { date: { year: 2026, month: 11, day: 20 }, time },
    revision: { major: 1, minor: 10 },
    homeUrl: "https://example.org",
  },
  device: { ...least.device, productName: "M\u00fchle", catalog: "M-1" },
  params: [
    { name: "Speed", dataType: 0xc7, default: 100, minimum: 0, maximum: 3000, units: "rpm", help: "Set point" },
    {
      name: "Reaction",
      dataType: 0xc6,
      default: 1,
      path: [
        { kind: "class", value: 0x64 },
        { kind: "instance", value: 1 },
        { kind: "attribute", value: 300 },
      ],
      isReadOnly: true,
      choices: [
        { value: 0, text: "off" },
        { value: 1, text: "keep" },
      ],
    },
    { name: "Total", dataType: 0xc9, default: 9007199254740993n, choices: [] },
  ],
  assemblies: [
    {
      instance: 100,
      name: "Inputs",
      members: [{ param: "Speed", repeat: 3 }, { param: "Reaction", bits: 3 }, { padding: 5 }, { param: "Total" }],
    },
    { instance: 150, name: "Outputs", members: [{ param: "Speed" }] },
    { instance: 151, name: "Settings", members: [{ assembly: 150 }, { param: "Reaction" }] },
  ],
  connections: [
    {
      name: "Exclusive Owner",
      help: "Controls",
      type: "exclusiveOwner",
      oToT: { point: 150, rpi },
      tToO: { point: 100, rpi },
      configuration: 151,
    },
    {
      name: "Input Only",
      type: "inputOnly",
      classes: [0, 1],
      triggers: ["cyclic", "changeOfState"],
      oToT: { point: 198, rpi: { ...rpi, default: 100_000 }, priorities: ["low", "scheduled"] },
      tToO: { point: 100, rpi, isVariable: true, format: "zeroLength", types: ["pointToPoint"] },
      configuration: 5,
    },
    { name: "Plain", type: "listenOnly", oToT: { point: 199, rpi }, tToO: { point: 100, rpi, types: ["multicast"] } },
  ],
  capacity: {
    ioConnections: 8,
    messageConnections: 16,
    traffic: [{ direction: "TxRx", size: 32, packetsPerSecond: 4000 }],
  },
  ports: [
    {
      type: "TCP",
      name: "EtherNet/IP",
      path: [
        { kind: "class", value: 0xf5 },
        { kind: "instance", value: 1 },
      ],
      number: 2,
    },
  ],
  classes: [
    { declaration: Identity, optional: ["state"] },
    { declaration: MessageRouter },
    { declaration: Assembly, maxInstance: 151, instances: 3 },
    { declaration: ConnectionManager },
    { declaration: FileObject, maxInstance: 2 },
    { declaration: Qos },
    { declaration: CipSecurity },
    { declaration: EtherNetIpSecurity },
    { declaration: CertificateManagement, maxInstance: 8, instances: 1, dynamicInstances: 7 },
    { declaration: TcpIpInterface },
    {
      declaration: objectClass({
        name: "Press",
        classId: 0x64,
        revision: 1,
        source: "vendor",
        attributes: {},
        services: {
          stop: { code: 0x4b, level: "both", doc: "Stops." },
          hidden: { code: 0x4c, level: "class", optional: true, doc: "Not there." },
        },
      }),
    },
    {
      declaration: objectClass({
        name: "Counter",
        classId: 0x65,
        revision: 2,
        source: "vendor",
        attributes: { count: { id: 1, type: UINT, access: "get", doc: "Count." } },
        services: { clear: { code: 0x4b, level: "class", doc: "Clears all." } },
      }),
    },
  ],
};

test("the least is file, device and network", () => {
  const eds = parseEds(makeEds(least), { strict: true });
  expect(eds.sections.map(({ name }) => name)).toEqual(["File", "Device", "Device Classification"]);
  expect(eds.device).toMatchObject({ productCode: 7, majorRevision: 3, minorRevision: 2, catalog: "" });
  expect(eds.file).toMatchObject({ revision: "1.0", created: { date: { year: 2026, month: 3, day: 1 }, time } });
});

describe("the full description", () => {
  const text = makeEds(full);
  const eds = parseEds(text, { strict: true });

  test("reads back without a problem and unchanged", () => {
    expect(eds.problems).toEqual([]);
    expect(writeEds(eds)).toBe(text);
    expect(makeEds(full)).toBe(text);
    expect(eds.file).toMatchObject({
      description: 'Says "all"; with \\ and $',
      revision: "1.10",
      homeUrl: "https://example.org",
      crc: undefined,
    });
    expect(eds.device).toMatchObject({ productName: "M\u00fchle", catalog: "M-1" });
  });

  test("parameters, those of the intervals behind the given ones", () => {
    expect([...eds.params.values()].map(({ name, dataSize, descriptor }) => [name, dataSize, descriptor])).toEqual([
      ["Speed", 2, 0],
      ["Reaction", 1, 0x12],
      ["Total", 8, 0],
      ["RPI 2000 to 500000, 20000", 4, 0],
      ["RPI 2000 to 500000, 100000", 4, 0],
    ]);
    expect(eds.params.get(1)).toMatchObject({
      minimum: 0,
      maximum: 3000,
      default: 100,
      units: "rpm",
      help: "Set point",
    });
    expect(eds.params.get(2)?.choices).toHaveLength(2);
    expect(eds.params.get(2)?.path?.text).toBe("20 64 24 01 31 2C 01");
    expect(eds.params.get(3)?.default).toBe(9007199254740993n);
  });

  test("assemblies have the size of their members", () => {
    const sizes = [...eds.assemblies.values()].map(({ number, size, members }) => [
      number,
      size,
      members.map(({ bits }) => bits),
    ]);
    expect(sizes).toEqual([
      [100, 15, [16, 16, 16, 3, 5, 64]],
      [150, 2, [16]],
      [151, 3, [16, 8]],
    ]);
    expect(eds.assemblies.get("assem151")?.members[0]?.reference).toEqual({ to: "Assem", number: 150 });
  });

  test("dwords and paths follow", () => {
    const raws = eds.sections
      .find(({ name }) => name === "Connection Manager")!
      .entries.filter(({ key }) => key.startsWith("Connection"))
      .map(({ fields }) => [fields[0]!.raw, fields[1]!.raw, fields[14]!.raw]);
    expect(raws).toEqual([
      ["0x04010002", "0x44640405", '"20 04 24 97 2C 96 2C 64"'],
      ["0x02030003", "0x45441309", '"20 04 24 05 2C C6 2C 64"'],
      ["0x01010002", "0x44240305", '"20 04 2C C7 2C 64"'],
    ]);
  });

  test("connections open right first time", () => {
    const owner = connectionRequest(eds, "Exclusive Owner");
    expect(owner).toMatchObject({ transport: 1, oToTRpiMicros: 20_000, oToT: { size: 8 }, tToO: { size: 17 } });
    expect([...owner.configuration]).toEqual([100, 0, 1]);
    expect([...encode(EPATH, owner.path)].slice(10)).toEqual([
      0x20, 4, 0x24, 151, 0x2c, 150, 0x2c, 100, 0x80, 2, 100, 0, 1, 0,
    ]);
    const input = connectionRequest(eds, 2);
    expect(input).toMatchObject({
      oToTRpiMicros: 100_000,
      oToT: { size: 2, variable: false },
      tToO: { size: 17, variable: true },
    });
    expect(connectionRequest(eds, 3).tToO.type).toBe(1);
  });

  test("classes come from their declarations", () => {
    const facts = eds.classes.map(({ section, classId, revision, maxInstance, staticInstances, dynamicInstances }) => [
      section,
      classId,
      revision,
      maxInstance,
      staticInstances,
      dynamicInstances,
    ]);
    expect(facts).toContainEqual(["CIP Security Class", 0x5d, CipSecurity.revision, 1, 1, 0]);
    expect(facts).toContainEqual(["EtherNet/IP Security Class", 0x5e, EtherNetIpSecurity.revision, 1, 1, 0]);
    expect(facts).toContainEqual(["Certificate Management Class", 0x5f, CertificateManagement.revision, 8, 1, 7]);
    expect(facts).toContainEqual(["File Class", 0x37, FileObject.revision, 2, 2, 0]);
    expect(facts).toContainEqual(["Assembly", 4, Assembly.revision, 151, 3, 0]);
    expect(facts).toContainEqual(["Press Class", 0x64, 1, 1, 1, 0]);
    const [press, counter] = [0x64, 0x65].map((id) => eds.classes.find(({ classId }) => classId === id));
    expect(press).toMatchObject({
      name: "Press Object",
      classServices: [0x0e, 0x4b],
      instanceServices: [0x4b],
      instanceAttributes: [],
    });
    expect(counter).toMatchObject({ classServices: [0x0e, 0x4b], instanceServices: [0x0e], instanceAttributes: [1] });
    const identity = eds.classes.find(({ classId }) => classId === 1);
    expect(identity?.instanceAttributes).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(identity?.instanceServices).toEqual([0x01, 0x05, 0x0e]);
    const security = eds.classes.find(({ classId }) => classId === 0x5d);
    expect(security?.instanceServices).toEqual(expect.arrayContaining([0x0e, 0x4b, 0x4c, 0x4d]));
  });

  test("capacity and ports", () => {
    expect(eds.capacity).toMatchObject({ ioConnections: 8, messageConnections: 16, cipConnections: undefined });
    expect(eds.capacity?.traffic).toEqual([{ direction: "TxRx", size: 32, packetsPerSecond: 4000 }]);
    expect(eds.ports).toMatchObject([{ type: "TCP", name: "EtherNet/IP", number: 2, path: { text: "20 F5 24 01" } }]);
  });
});

test.each<{ name: string; change: Partial<EdsDescription>; message: string }>([
  { name: "no Latin-1", change: { device: { ...least.device, vendorName: "\u20ac" } }, message: "which an EDS cannot" },
  {
    name: "vendor",
    change: { device: { ...least.device, vendorId: 70000 } },
    message: "[Device] VendCode, number: '70000'",
  },
  {
    name: "default",
    change: { params: [{ name: "P", dataType: 0xc6, default: 5, maximum: 4 }] },
    message: "default '5'",
  },
  {
    name: "type",
    change: { params: [{ name: "P", dataType: 0xda, default: 5 }] },
    message: "'P' has a type without a fixed size, 0xDA",
  },
  {
    name: "member",
    change: { assemblies: [{ instance: 1, name: "A", members: [{ param: "P" }] }] },
    message: "There is no parameter 'P'.",
  },
  {
    name: "inner",
    change: { assemblies: [{ instance: 1, name: "A", members: [{ assembly: 2 }] }] },
    message: "There is no assembly 2",
  },
  {
    name: "itself",
    change: { assemblies: [{ instance: 1, name: "A", members: [{ assembly: 1 }] }] },
    message: "or it holds itself",
  },
  ...[0, 1.5, 65_536].map((repeat) => ({
    name: `repeat ${repeat}`,
    change: { assemblies: [{ instance: 1, name: "A", members: [{ padding: 1, repeat }] }] },
    message: `repeated ${repeat} times`,
  })),
  {
    name: "names",
    change: {
      connections: [1, 2].map(() => ({
        name: "C",
        type: "inputOnly",
        oToT: { point: 1, rpi },
        tToO: { point: 2, rpi },
      })),
    },
    message: "has the name of Connection1, 'C'",
  },
])("refuses a description that contradicts itself: $name", ({ change, message }) => {
  expect(() => makeEds({ ...least, ...change })).toThrow(
    expect.objectContaining({
      code: "usage/argument",
      message: expect.stringContaining(message),
      fix: expect.stringMatching(/./),
    }),
  );
});

test("scaled and monitored parameters, and the class that holds them", () => {
  const scaling = { multiplier: 10, divisor: 3, base: 1, offset: -40 };
  const path = objectPath(Parameter.classId, 1, 1);
  const text = makeEds({
    ...least,
    params: [{ name: "Heat", dataType: 0xc3, default: 20, path, scaling, decimals: 1, isMonitored: true }],
    paramClass: { maxInstance: 1, descriptor: 0x000b, configurationAssembly: 151 },
  });
  const eds = parseEds(text, { strict: true });
  expect(eds.problems).toEqual([]);
  expect(eds.params.get(1)).toMatchObject({
    descriptor: 0x24,
    scaling,
    decimals: 1,
    path: { text: "20 0F 24 01 30 01" },
  });
  expect(eds.classes).toMatchObject([{ section: "ParamClass", classId: 0x0f, maxInstance: 1 }]);
  expect(text).toMatch(/Descriptor = 0x000B;\s+CfgAssembly = 151;/);
});
