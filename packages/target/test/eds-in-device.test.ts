import { FileObject, parseEds } from "@cipsec/objects";
import { Status, decode, encode } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { readDescription } from "../src/description.ts";
import { edsOf } from "../src/eds.ts";
import { identity, request } from "./support/device.ts";
import { runDevice, type TargetSession } from "./support/target-session.ts";

const { initiateUpload, uploadTransfer } = FileObject.services;

/** Instance of the File Object that holds a device's EDS. */
const edsFile = 0xc8;

async function upload(session: TargetSession): Promise<Uint8Array> {
  const began = await session.request(
    request(initiateUpload.code, [0x37, edsFile], encode(initiateUpload.request, { maxTransferSize: 250 })),
  );
  const { fileSize } = decode(initiateUpload.response, began.data);
  const parts: Uint8Array[] = [];
  let octets = 0;
  for (let number = 0; octets < fileSize; number = (number + 1) & 0xff) {
    const reply = await session.request(request(uploadTransfer.code, [0x37, edsFile], Uint8Array.of(number)));
    expect(reply.status).toBe(Status.success);
    const { data } = decode(uploadTransfer.response, reply.data);
    parts.push(data);
    octets += data.length;
  }
  return Buffer.concat(parts);
}

test("a device hands out its own EDS, which is that of its description", async () => {
  await using device = await runDevice("127.33.6.1", {
    security: {},
    assemblies: [{ instance: 100, kind: "input", size: 4 }],
    parameters: [{ name: "W\u00e4rme", type: "UINT", units: "\u00b0C" }],
    eds: { vendorName: "Example", created: "2026-11-21", catalog: "D-1" },
  });
  const text = Buffer.from(await upload(await device.session())).toString("latin1");
  const created = { date: { year: 2026, month: 11, day: 21 }, time: { hours: 0, minutes: 0, seconds: 0 } };
  expect(text).toBe(edsOf(device.target.description, { vendorName: "Example", catalog: "D-1", created }));
  const eds = parseEds(text, { strict: true });
  expect(eds.params.get(1)).toMatchObject({ name: "W\u00e4rme", units: "\u00b0C" });
  expect(eds.file?.created).toMatchObject({ date: { year: 2026, month: 11, day: 21 } });
});

describe("refuses in a description", () => {
  test.each([
    { eds: { created: "2026-11-21" }, where: "device.eds.vendorName" },
    { eds: { vendorName: "V", created: "2026-02-30" }, where: "device.eds.created" },
    { eds: { vendorName: "V", created: "today" }, where: "device.eds.created" },
    { eds: { vendorName: "\u4e2d", created: "2026-02-20" }, where: "device.eds.vendorName" },
    { eds: { vendorName: "V", created: "2026-02-20", icon: "x" }, where: "device.eds.icon" },
  ])("$eds", ({ eds, where }) => {
    expect(() => readDescription({ name: "d", identity, eds })).toThrow(
      expect.objectContaining({ code: "usage/file", facts: { where } }),
    );
  });
});
