import { createRequire } from "node:module";
import type { Socket as DatagramSocket } from "node:dgram";
import type { EventEmitter } from "node:events";
import { Socket } from "node:net";
import { connectionRequests } from "./kit/connection-octets.ts";
import { makePlant, type Plant } from "./kit/plant.ts";
import { until } from "./kit/programs.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

/** What these tests use of both packages: they share their ancestry. */
interface Enip extends Omit<Socket, "connect"> {
  readonly state: {
    readonly session: { readonly id: number; readonly established: boolean };
    readonly connection: { id: number; seq_num: number };
  };
  readonly properties: Properties;
  connect(address: string, slot?: number, setup?: boolean): Promise<unknown>;
  write_cip(data: Buffer, connected?: boolean): void;
  readControllerProps(): Promise<void>;
}

interface Properties {
  readonly name: string;
  readonly serial_number: number;
  readonly version: string;
  readonly status: number;
}

interface StController extends Enip {
  readonly state: Enip["state"] & { readonly connection: { readonly established: boolean } };
  rpi: number;
  getAttributeSingle(classId: number, instance: number, attribute: number): Promise<Buffer>;
  setAttributeSingle(classId: number, instance: number, attribute: number, value: Buffer): Promise<unknown>;
  readTag(tag: object): Promise<void>;
  disconnect(): Promise<string>;
}

interface Browser extends EventEmitter {
  readonly socket: DatagramSocket;
  readonly deviceList: readonly Readonly<Record<string, unknown>>[];
}

interface StPackage {
  readonly Controller: new (connected: boolean) => StController;
  readonly Tag: new (name: string) => object;
  readonly Browser: new (port: number, address: string, autoBrowse: boolean) => Browser;
  readonly EthernetIP: { readonly encapsulation: { readonly header: { build(command: number): Buffer } } };
}

interface EthernetIpPackage {
  readonly Controller: new () => Enip;
  readonly EthernetIP: { readonly ENIP: new () => Enip };
}

const require = createRequire(import.meta.url);
const st = require("st-ethernet-ip") as StPackage;
const ethernetIp = require("ethernet-ip") as EthernetIpPackage;

const address = "127.27.4.1";
const serialNumber = 0x1234_5678;
const name = "Interop Device";
const identityPath = [0x01, 1] as const;

let plant: Plant;

beforeAll(async () => {
  plant = await makePlant("npm");
  const assemblies = [
    { instance: 100, kind: "input", size: 8 },
    { instance: 101, kind: "output", size: 8 },
  ];
  await plant.device({ address, serialNumber, security: null, assemblies });
});

afterAll(async () => await plant[Symbol.asyncDispose]());

describe("st-ethernet-ip against a plain device", () => {
  test.each([
    { how: "unconnected: UCMM and Unconnected_Send to port 1, slot 0", connected: false },
    { how: "connected: Forward_Open through port 1, slot 0, class 3, Forward_Close", connected: true },
  ])("$how", async ({ connected }) => {
    const controller = new st.Controller(connected);
    // Its default asks for 30 ms, with a timeout of four intervals; a busy machine needs more.
    controller.rpi = 1000;
    await controller.connect(address, 0, false);
    expect(controller.state.session.established).toBe(true);
    expect(controller.state.connection.established).toBe(connected);

    await controller.readControllerProps();
    expect(controller.properties).toMatchObject({ name, serial_number: serialNumber, version: "2.1" });

    const serial = await controller.getAttributeSingle(...identityPath, 6);
    expect(serial.readUInt32LE(0)).toBe(serialNumber);

    const outputs = Buffer.from("0102030405060708", "hex");
    await controller.setAttributeSingle(0x04, 101, 3, outputs);
    expect(await controller.getAttributeSingle(0x04, 101, 3)).toEqual(outputs);

    // What the device does not have, a class and a tag: each refusal arrives as one.
    await expect(controller.getAttributeSingle(0x6b, 1, 1)).rejects.toMatchObject({ generalStatusCode: 0x05 });
    await expect(controller.readTag(new st.Tag("Counter"))).rejects.toMatchObject({ generalStatusCode: 0x04 });
    expect(await controller.disconnect()).toBe("disconnected");
  });

  test("its browser reads our reply to its ListIdentity", async () => {
    const browser = new st.Browser(0, "127.27.4.100", false);
    try {
      await until(() => isBound(browser.socket), "browser's socket");
      // It asks 255.255.255.255, which does not reach loopback devices: its own request, sent to one of them.
      browser.socket.send(st.EthernetIP.encapsulation.header.build(0x63), 44_818, address);
      await until(() => browser.deviceList.length > 0, "a device in the browser's list");
      expect(browser.deviceList[0]).toMatchObject({
        EncapsulationVersion: 1,
        socketAddress: { sin_family: 2, sin_port: 44_818, sin_addr: address },
        vendorID: 0xffff,
        deviceType: 0x2b,
        productCode: 7,
        revision: "2.1",
        serialNumber: "0x12345678",
        productName: name,
      });
    } finally {
      browser.socket.close();
    }
  });
});

describe("ethernet-ip against a plain device", () => {
  test("session, Unconnected_Send to port 1, slot 0", async () => {
    const controller = tamed(new ethernetIp.Controller());
    await controller.connect(address, 0);
    expect(controller.state.session.established).toBe(true);
    expect(controller.properties).toMatchObject({ name, serial_number: serialNumber, version: "2.1" });
    controller.destroy();
  });

  test("its low-level client: UCMM; its connected framing is that of I/O and is passed over", async () => {
    const client = tamed(new ethernetIp.EthernetIP.ENIP());
    expect(await client.connect(address)).toBeGreaterThan(0);
    const { open, close, getSerialNumber } = connectionRequests();

    expect((await answer(client, getSerialNumber)).readUInt32LE(4)).toBe(serialNumber);

    // It has no Forward_Open of its own.
    const opened = await answer(client, open);
    expect([...opened.subarray(0, 3)]).toEqual([0xd4, 0, 0]);
    client.state.connection.id = opened.readUInt32LE(4);

    // It sends a Sequenced Address item (0x8002) and no sequence count, which no class 3 connection takes.
    let connected = 0;
    client.on("SendUnitData Received", () => (connected += 1));
    client.write_cip(getSerialNumber, true);

    // The session goes on all the same.
    expect((await answer(client, getSerialNumber)).readUInt32LE(4)).toBe(serialNumber);
    expect(connected).toBe(0);
    expect([...(await answer(client, close)).subarray(0, 3)]).toEqual([0xce, 0, 0]);
    client.destroy();
  });
});

/**
 * Its own `destroy` writes UnRegisterSession, and `write` on a socket that the target has closed calls `destroy` again, until
 * the stack is full: the socket's `destroy` is put back.
 */
function tamed<E extends Enip>(client: E): E {
  return Object.assign(client, { destroy: Socket.prototype.destroy });
}

/** The data item of the answer to an unconnected message. */
async function answer(client: Enip, message: Buffer): Promise<Buffer> {
  const received = new Promise<Buffer>((resolve) => {
    client.once("SendRRData Received", (items: readonly { readonly data: Buffer }[]) => resolve(items[1]!.data));
  });
  client.write_cip(message);
  return await received;
}

function isBound(socket: DatagramSocket): boolean {
  try {
    return socket.address().port > 0;
  } catch {
    return false;
  }
}
