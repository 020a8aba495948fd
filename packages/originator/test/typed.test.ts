import { join } from "node:path";
import {
  CertificateManagement,
  CipSecurity,
  EtherNetIpSecurity,
  FileEncoding,
  FileObject,
  Identity,
  MessageRouter,
  TcpIpInterface,
} from "@cipsec/objects";
import { Service, Status, TransportError, noOctets, objectPath } from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  connect,
  createFile,
  getAttributeList,
  listFiles,
  multipleServices,
  putFile,
  readFile,
  readPosture,
  writeFile,
  type Requester,
  type Session,
} from "../src/index.ts";
import { net } from "./addresses.ts";
import { makePlant, startDevice, type Plant } from "./real-target.ts";

let plant: Plant;
let session: Session;
let stop: () => Promise<void>;
const address = `${net}.61`;

beforeAll(async () => {
  plant = await makePlant();
  const target = await startDevice({ address, stateDir: join(plant.folder, "device"), security: { configTimerS: 60 } });
  session = await connect({ scheme: "eip", host: address });
  stop = () => target.stop();
});
afterAll(async () => {
  await session.close();
  await stop();
  await plant[Symbol.asyncDispose]();
});

describe("typed access", () => {
  test("reads and writes by name", async () => {
    const object = session.object(TcpIpInterface, 1);
    expect(await session.object(Identity, 1).get("serialNumber")).toBe(0xcafe);
    await object.set("encapsulationInactivityTimeout", 90);
    expect(await object.get("encapsulationInactivityTimeout")).toBe(90);
  });

  test("reads all, and a list without what the device lacks", async () => {
    const identity = session.object(Identity, 1);
    expect(await identity.getAll()).toMatchObject({
      vendorId: 0x1234,
      revision: { major: 1, minor: 2 },
      productName: "Under test",
    });
    expect(await identity.getList(["vendorId", "heartbeatInterval", "productCode"])).toEqual({
      vendorId: 0x1234,
      productCode: 7,
    });
    await expect(getAttributeList(session, Identity, 1, ["nothing"])).rejects.toMatchObject({ code: "usage/argument" });
  });

  test("calls services of instances and of classes", async () => {
    const object = session.object(CipSecurity, 1);
    await expect(object.call("kickTimer")).rejects.toMatchObject({
      code: "cip/status",
      facts: { status: Status.objectStateConflict },
    });
    expect(await session.class(CertificateManagement).get("revision")).toBe(CertificateManagement.revision);
    expect(await session.class(CertificateManagement).get("capabilityFlags")).toBe(1);
  });

  test("refusals say what, where and what to do", async () => {
    const missing = session.object(EtherNetIpSecurity, 9).get("state");
    await expect(missing).rejects.toMatchObject({ code: "cip/status", facts: { status: 0x05 } });
    await expect(missing).rejects.toThrow("EtherNet/IP Security/9: get state: the device answers");
    await expect(session.getRaw(objectPath(0x4321, 1, 1))).rejects.toThrow("get class 0x4321 instance 1 attribute 1");
    await expect(session.getRaw(objectPath(0x01, 1, 99))).rejects.toMatchObject({
      fix: expect.stringContaining("attribute number"),
    });
  });

  test("raw access", async () => {
    expect(await session.getRaw(objectPath(0x01, 1, 1))).toEqual(Uint8Array.of(0x34, 0x12));
    await session.setRaw(objectPath(0xf5, 1, 13), Uint8Array.of(91, 0));
    expect(await session.getRaw(objectPath(0xf5, 1, 13))).toEqual(Uint8Array.of(91, 0));
    await expect(session.setRaw(objectPath(0x01, 1, 1), Uint8Array.of(1, 0))).rejects.toMatchObject({
      facts: { status: 0x0e },
    });
  });

  test("several services in one packet", async () => {
    const read = (id: number) => ({
      service: Service.getAttributeSingle,
      path: objectPath(0x01, 1, id),
      data: noOctets,
    });
    const replies = await multipleServices(session, [read(1), read(99), read(3)]);
    expect(replies.map(({ status }) => status)).toEqual([0, 0x14, 0]);
  });

  test("what cannot be does not compile", () => {
    const never = (): unknown[] => {
      const object = session.object(EtherNetIpSecurity, 1);
      return [
        // @ts-expect-error state is read only
        object.set("state", 1),
        // @ts-expect-error not a number of seconds
        object.set("dtlsTimeout", "12"),
        // @ts-expect-error no such attribute
        object.get("dtlsTimeOut"),
        // @ts-expect-error create is a service of the class
        session.object(CertificateManagement, 1).call("create", "x"),
        // @ts-expect-error the request is missing
        session.object(CertificateManagement, 1).call("verifyCertificate"),
        // @ts-expect-error Begin_Config takes nothing
        object.call("beginConfig", 1),
      ];
    };
    expect(never).toBeTypeOf("function");
  });
});

describe.each([
  { name: "small", size: 504, large: false },
  { name: "large", size: 4002, large: true },
])("class 3, $name", ({ size, large }) => {
  test("carries the same requests", async () => {
    await using connection = await session.connectClass3({ size });
    expect(connection.granted.large).toBe(large);
    expect(await connection.object(Identity, 1).get("productName")).toBe("Under test");
    expect(await connection.class(MessageRouter).get("revision")).toBe(1);
    const many = await Promise.all(Array.from({ length: 20 }, () => connection.object(Identity, 1).get("vendorId")));
    expect(new Set(many)).toEqual(new Set([0x1234]));
    await expect(connection.object(Identity, 7).get("state")).rejects.toMatchObject({ code: "cip/status" });
  });

  test("is closed for both ends", async () => {
    const connection = await session.connectClass3({ size });
    await connection.close();
    await connection.close();
    expect(connection.isOpen).toBe(false);
    await expect(connection.object(Identity, 1).get("state")).rejects.toMatchObject({ code: "usage/state" });
  });
});

test("class 3: stays open over its timeout while nobody asks", async () => {
  await using connection = await session.connectClass3({ rpiMicros: 300_000, timeoutMultiplier: 0 });
  expect(connection.granted.timeoutMs).toBeLessThan(1300);
  await new Promise((resolve) => setTimeout(resolve, 3500));
  expect(await connection.object(Identity, 1).get("vendorId")).toBe(0x1234);
});

test("class 3: a message that does not fit is refused here", async () => {
  await using connection = await session.connectClass3({ size: 40 });
  await expect(
    connection.request({ service: 0x10, path: objectPath(1, 1, 1), data: new Uint8Array(60) }),
  ).rejects.toMatchObject({
    code: "usage/argument",
  });
});

describe("files", () => {
  // This target makes files within a configuration session only.
  beforeAll(() => session.object(CipSecurity, 1).call("beginConfig"));
  afterAll(() => session.object(CipSecurity, 1).call("reset"));

  const bytes = Uint8Array.from({ length: 70_001 }, (_, i) => (i * 31) & 0xff);

  test("go in and come out the same, with progress", async () => {
    const done: number[] = [];
    const instance = await putFile(session, "round trip", FileEncoding.pemCertificate, bytes.subarray(0, 60_000), {
      progress: (at) => done.push(at),
    });
    expect(done.at(-1)).toBe(60_000);
    expect(await readFile(session, instance)).toEqual(bytes.subarray(0, 60_000));
    expect((await listFiles(session)).map(({ instanceName }) => instanceName)).toContain("round trip");
    await expect(readFile(session, instance, { maxOctets: 100 })).rejects.toMatchObject({ code: "usage/argument" });
  });

  test.each([1, 254, 255, 256, 510, 511])("of %i octets", async (size) => {
    const instance = await putFile(session, `size ${size}`, FileEncoding.pemCertificate, bytes.subarray(0, size));
    expect(await readFile(session, instance, { maxTransferSize: 255 })).toEqual(bytes.subarray(0, size));
    expect(await readFile(session, instance, { maxTransferSize: 33 })).toEqual(bytes.subarray(0, size));
    await session.object(FileObject, instance).call("delete");
  });

  test("a lost reply is asked for again under its number, both ways", async () => {
    const lossy = losing(session, 5);
    const instance = await createFile(session, "lossy", FileEncoding.pemCertificate);
    await writeFile(lossy, instance, bytes.subarray(0, 5000), { maxTransferSize: 100 });
    expect(await readFile(lossy, instance, { maxTransferSize: 100 })).toEqual(bytes.subarray(0, 5000));
    await session.object(FileObject, instance).call("delete");
  });

  test("a download that fails half-way leaves an empty instance, and another may follow", async () => {
    const instance = await createFile(session, "broken", FileEncoding.pemCertificate);
    const controller = new AbortController();
    const failed = writeFile(session, instance, bytes.subarray(0, 2000), {
      signal: controller.signal,
      progress: (at) => at > 500 && controller.abort(new Error("enough")),
    });
    await expect(failed).rejects.toThrow("enough");
    expect(await session.object(FileObject, instance).get("state")).toBe(1);
    await writeFile(session, instance, bytes.subarray(0, 2000));
    await session.object(FileObject, instance).call("delete");
  });

  test("nothing to send is refused here", async () => {
    await expect(writeFile(session, 1, noOctets)).rejects.toMatchObject({ code: "usage/argument" });
  });
});

test("posture of a factory-default device, and of one without CIP Security", async () => {
  const posture = await readPosture(session);
  expect(posture).toMatchObject({
    address,
    security: { cipState: "factory-default", securePortsOnly: false },
    verifyClient: false,
    channel: { protocol: "tcp", peer: null },
    deviceCertificate: { selfSigned: true },
  });
  expect(posture.findings.map(({ id }) => id)).toEqual(
    expect.arrayContaining(["factory-default", "plaintext-port-open", "read-over-plaintext"]),
  );
  await using _ = await startDevice({ address: `${net}.62`, stateDir: join(plant.folder, "legacy"), security: null });
  await using legacy = await connect({ host: `${net}.62` });
  expect(legacy.facts.protocol).toBe("tcp");
  expect(await readPosture(legacy)).toMatchObject({
    security: null,
    suites: null,
    findings: [{ id: "no-cip-security", severity: "high" }],
  });
});

/** Loses the reply to every nth transfer packet: the device has acted, the originator does not know. */
function losing(inner: Requester, every: number): Requester {
  let count = 0;
  return {
    async request(request, options) {
      const reply = await inner.request(request, options);
      count += 1;
      if ((request.service !== 0x4f && request.service !== 0x50) || count % every !== 0) return reply;
      return inner.request({ service: 0x0e, path: objectPath(0x01, 1, 1), data: noOctets }).then(() => {
        throw lost;
      });
    },
  };
}

const lost = new TransportError("transport/timeout", "lost by the test");
