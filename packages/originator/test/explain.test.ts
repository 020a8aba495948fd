import { parseEds } from "@cipsec/objects";
import { knownAlerts } from "@cipsec/transport";
import {
  ConnectionService,
  ConnectionType,
  ForwardOpen,
  connectionStatusText,
  encapsulationStatusText,
  encode,
  extendedStatusText,
  statusText,
  type NetworkParameters,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import {
  advisedStatuses,
  assemblyPath,
  connectionAdvice,
  explainAlert,
  explainEncapsulation,
  explainExchange,
  explainRequest,
  explainStatus,
  refusedFields,
  type FieldFinding,
} from "../src/index.ts";
import { generalAdvice } from "../src/explain-status.ts";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/gu, ""), "hex"));

describe("complete against the tables of the wire package", () => {
  test("every extended status of the Connection Manager has a cause and a fix, and no other has", () => {
    const named = Array.from({ length: 0x1000 }, (_, code) => code).filter(
      (code) => !connectionStatusText(code).startsWith("unknown"),
    );
    expect(advisedStatuses().toSorted((a, b) => a - b)).toEqual(named);
    for (const code of named) {
      const { cause = "", fix = "" } = connectionAdvice(code) ?? {};
      expect(cause.length, connectionStatusText(code)).toBeGreaterThan(20);
      expect(fix.length, connectionStatusText(code)).toBeGreaterThan(15);
      expect(explainStatus({ status: 1, extended: [code] }).cause).toBe(cause);
    }
  });

  test("a device that gives no reason, and one that has its own", () => {
    expect(explainStatus({ status: 1, extended: [0] })).toMatchObject({ fix: expect.stringContaining("2222") });
    expect(explainStatus({ status: 1, extended: [0xfff0] }).cause).toContain("0xfff0");
  });

  test("every general status has a cause and a fix", () => {
    const none = generalAdvice(0x80);
    for (let status = 0; status < 0xd0; status += 1) {
      const isNamed = !statusText(status).startsWith("reserved");
      expect(generalAdvice(status).cause !== none.cause, statusText(status)).toBe(isNamed);
    }
  });

  test.each([
    { name: "File Object", classId: 0x37, services: [0x08, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50] },
    { name: "Apply_Config", classId: 0x5e, services: [0x4d] },
    { name: "Object_Cleanup", classId: 0x5d, services: [0x4e] },
    { name: "Verify_Certificate", classId: 0x5f, services: [0x4c] },
    { name: "tags", classId: undefined, services: [0x4c, 0x4d] },
  ])("every extended status of $name that has words has a cause of its own", ({ classId, services }) => {
    let seen = 0;
    for (const service of services)
      for (let status = 1; status <= 0xff; status += 1)
        for (const first of [...Array(0x100).keys(), 0x2101, 0x2104, 0x2105, 0x2107, 0x2802]) {
          const text = extendedStatusText(classId, service, status, [first]);
          if (text === undefined || text.startsWith("extended status")) continue;
          seen += 1;
          const where = classId === undefined ? { onSymbols: true } : { classId };
          const explained = explainStatus({ status, extended: [first], service, ...where });
          expect(explained.status).toContain(text);
          if (explained.cause === generalAdvice(status).cause) expect.fail(`${service} ${status} ${first}: ${text}`);
        }
    expect(seen).toBeGreaterThan(0);
  });

  test("every encapsulation status", () => {
    const none = explainEncapsulation(0x7777);
    for (let status = 0; status < 0x200; status += 1) {
      const isNamed = !encapsulationStatusText(status).startsWith("reserved");
      expect(explainEncapsulation(status).cause !== none.cause, encapsulationStatusText(status)).toBe(isNamed);
    }
  });

  test("every alert, by name and by number", () => {
    for (const number of knownAlerts()) {
      const { name, cause, fix } = explainAlert(String(number));
      expect(explainAlert(name.toUpperCase().replaceAll("_", " "))).toEqual({ number, name, cause, fix });
      expect(fix.length).toBeGreaterThan(5);
    }
    expect(() => explainAlert("certificate_sad")).toThrow(expect.objectContaining({ code: "usage/argument" }));
  });
});

const parameters = (size: number): NetworkParameters => ({
  redundantOwner: false,
  type: ConnectionType.pointToPoint,
  priority: 2,
  variable: false,
  size,
});
const open: ForwardOpen = {
  priorityTick: 6,
  timeoutTicks: 156,
  oToTConnectionId: 0,
  tToOConnectionId: 1,
  connectionSerial: 7,
  originatorVendor: 0xffff,
  originatorSerial: 0x0a0b0c0d,
  timeoutMultiplier: 2,
  oToTRpiMicros: 2000,
  oToT: parameters(34),
  tToORpiMicros: 2000,
  tToO: parameters(34),
  transport: 1,
  path: assemblyPath({
    configuration: 151,
    oToT: 150,
    tToO: 100,
    data: new Uint8Array(4),
    key: { vendorId: 1, deviceType: 12, productCode: 65, compatibility: true, majorRevision: 2, minorRevision: 1 },
  }),
};

describe("names the field that is wrong", () => {
  test.each<{
    name: string;
    extended: readonly number[];
    change?: Partial<ForwardOpen>;
    fields: readonly FieldFinding[];
  }>([
    {
      name: "O→T without run/idle header",
      extended: [0x0127, 38],
      fields: [
        {
          field: "O→T size",
          asked: "34 octets",
          expected: "38 octets",
          why: "the device counts the 4 octets of the run/idle header: the real-time format is the 32-bit header",
        },
      ],
    },
    {
      name: "T→O with a header that the device does not have",
      extended: [0x0128, 30],
      fields: [
        {
          field: "T→O size",
          asked: "34 octets",
          expected: "30 octets",
          why: "the device has no run/idle header in this direction: the real-time format is modeless",
        },
      ],
    },
    {
      name: "a size in words",
      extended: [0x0128, 17],
      fields: [
        {
          field: "T→O size",
          asked: "34 octets",
          expected: "17 octets",
          why: "the device may say it in words of 2 octets, and refuse for another reason",
        },
      ],
    },
    {
      name: "another assembly",
      extended: [0x0127, 50],
      fields: [
        { field: "O→T size", asked: "34 octets", expected: "50 octets", why: "the assembly has 16 octets more" },
      ],
    },
    { name: "a size without a hint", extended: [0x0127], fields: [{ field: "O→T size", asked: "34 octets" }] },
    {
      name: "RPI, one direction, with the value",
      extended: [0x0112, 0x0200, 0, 0, 10_000, 0],
      fields: [{ field: "T→O RPI", asked: "2000 µs", expected: "at least 10000 µs" }],
    },
    {
      name: "RPI without a value",
      extended: [0x0111],
      fields: [
        { field: "O→T RPI", asked: "2000 µs" },
        { field: "T→O RPI", asked: "2000 µs" },
      ],
    },
    {
      name: "key",
      extended: [0x0116],
      fields: [{ field: "electronic key", asked: "vendor 1, device type 12, product 65, revision 2.1 or compatible" }],
    },
    {
      name: "points",
      extended: [0x012a],
      fields: [{ field: "O→T path", asked: "class 4, instance 151, point 150, point 100" }],
    },
    {
      name: "multiplier",
      extended: [0x0133],
      change: { timeoutMultiplier: 9 },
      fields: [{ field: "timeout multiplier", asked: "9", expected: "0 to 7" }],
    },
    {
      name: "transport",
      extended: [0x0103],
      change: { transport: 0x12 },
      fields: [{ field: "transport class and trigger", asked: "class 2, change of state" }],
    },
    {
      name: "parameters",
      extended: [0x0121],
      fields: [{ field: "O→T parameters", asked: "point to point, priority scheduled, fixed" }],
    },
    {
      name: "triad",
      extended: [0x0100],
      fields: [{ field: "connection serial", asked: "connection 0x0007 of vendor 0xFFFF, serial 0a0b0c0d" }],
    },
    {
      name: "configuration",
      extended: [0x0126, 8],
      fields: [{ field: "configuration data", asked: "4 octets", expected: "8 (octets, in some devices words)" }],
    },
    {
      name: "inhibit time",
      extended: [0x011b],
      change: { path: [{ kind: "network", type: 0x43, data: Uint8Array.of(10) }] },
      fields: [{ field: "production inhibit time", asked: "10000 µs", expected: "at most the RPI of 2000 µs" }],
    },
    {
      name: "route",
      extended: [0x0312],
      change: { path: [{ kind: "port", port: 1, link: Uint8Array.of(9) }] },
      fields: [{ field: "route", asked: "port 1 link 9" }],
    },
    { name: "nothing to name", extended: [0x0113], fields: [] },
  ])("$name", ({ extended, change = {}, fields }) => {
    expect(refusedFields({ open: { ...open, ...change }, extended })).toEqual(fields);
  });

  test("every status that blames a field finds one in a request", () => {
    for (const code of advisedStatuses()) {
      const { field } = connectionAdvice(code) ?? {};
      expect(refusedFields({ open, extended: [code] }).length > 0, connectionStatusText(code)).toBe(
        field !== undefined,
      );
    }
  });

  test("by the EDS, where the reply does not say", () => {
    const eds = parseEds(`[File] DescText = "x"; CreateDate = 01-01-2026; CreateTime = 00:00:00; Revision = 1.0;
      [Device] VendCode = 5; VendName = "V"; ProdType = 12; ProdTypeStr = "T"; ProdCode = 65; MajRev = 2; MinRev = 1;
        ProdName = "P"; Catalog = "C";
      [Connection Manager] Connection1 = 0x04010002, 0x44640405, 2000, 32, , 2000, 32, , , , , , "Owner", "",
        "20 04 24 97 2C 96 2C 64";`);
    const found = refusedFields({ open, extended: [0x0109], eds });
    expect(found.map(({ field, asked, expected }) => [field, asked, expected])).toEqual([
      ["electronic key", expect.stringContaining("vendor 1"), "vendor 5, device type 12, product 65"],
      ["O→T size", "34 octets", "38 octets"],
    ]);
  });
});

describe("request and reply in octets", () => {
  /** Vectors V7 and V22 of reference ethernet-ip.md 12. */
  const v7 = `6f 00 4c 00 44 33 22 11 00 00 00 00 43 54 58 2d 30 30 30 33 00 00 00 00
    00 00 00 00 00 00 02 00 00 00 00 00 b2 00 3c 00 54 02 20 06 24 01 06 9c
    00 00 00 00 01 00 aa 00 07 00 ff ff 0d 0c 0b 0a 02 00 00 00 10 27 00 00
    26 48 10 27 00 00 22 48 01 09 34 04 00 00 00 00 00 00 00 00 20 04 24 97
    2c 96 2c 64`;
  const v22 = `6f 00 22 00 44 33 22 11 00 00 00 00 43 54 58 2d 30 30 31 32 00 00 00 00
    00 00 00 00 00 00 02 00 00 00 00 00 b2 00 12 00 d4 00 01 02 27 01 20 00
    07 00 ff ff 0d 0c 0b 0a 00 00`;

  test("frames, and messages without frame", () => {
    const whole = explainExchange(hex(v7), hex(v22));
    expect(whole).toMatchObject({
      status: expect.stringContaining("the target takes 32"),
      fields: [{ field: "O→T size", asked: "38 octets", expected: "32 octets" }],
    });
    const bare = (text: string) => hex(text).subarray(40);
    expect(explainExchange(bare(v7), bare(v22))).toEqual(whole);
  });

  test("what is no message is refused, a malformed Forward_Open is told", () => {
    expect(() => explainExchange(hex("ff"), hex(v22))).toThrow(expect.objectContaining({ code: "usage/argument" }));
    expect(() => explainExchange(hex(v7), hex(""))).toThrow(expect.objectContaining({ code: "usage/argument" }));
    const data = encode(ForwardOpen, open).subarray(0, 30);
    const short = { service: ConnectionService.forwardOpen, classId: 0x06, data, status: 0x13, extended: [] };
    expect(explainRequest(short)).toMatchObject({ cause: expect.stringContaining("malformed"), fields: [] });
  });

  test("other services by class and service", () => {
    const about = (classId: number | undefined, service: number, status: number, extended: readonly number[] = []) =>
      explainRequest({ service, classId, data: new Uint8Array(0), status, extended }).cause;
    expect(about(undefined, 0x4c, 0x05)).toContain("no tag of this name");
    expect(about(0x06, 0x5b, 0x08)).toContain("way of opening");
    expect(about(0x5e, 0x4d, 0x0c, [2])).toContain("certificates");
    expect(about(0x01, 0x0e, 0x14)).toContain("does not have this attribute");
    expect(about(0x01, 0x4b, 0xd1)).toContain("its own meaning");
  });
});
