import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import {
  FrameStream,
  MessageRouterRequest,
  ReadTagReply,
  ReadTagRequest,
  TagService,
  decode,
  encode,
  type Frame,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readDescription } from "../src/description.ts";
import { startTarget, type Target } from "../src/target.ts";
import { registerSession, request, rrReply, sendRRData } from "./support/device.ts";

const address = "127.34.12.1";

let folder: string;
let target: Target;
const events: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cipsec-target-tags-"));
  const description = readDescription({
    name: "tags",
    identity: { vendorId: 1, productCode: 1, revision: { major: 1, minor: 1 }, serialNumber: 1, productName: "Tags" },
    address,
    security: null,
    tags: [{ name: "Count", type: "DINT", value: 5 }],
  });
  target = await startTarget({ description, stateDir: folder, onEvent: ({ name }) => events.push(name) });
});

afterAll(async () => {
  await target.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Sends one request in a session of its own. */
async function ask(asked: Request): Promise<Reply> {
  const socket = connect(44_818, address);
  const stream = new FrameStream();
  const waiting: ((frame: Frame) => void)[] = [];
  socket.on("data", (bytes: Uint8Array) => {
    for (const event of stream.push(bytes)) if (event.type === "frame") waiting.shift()?.(event.frame);
  });
  const exchange = (bytes: Uint8Array): Promise<Frame> =>
    new Promise((resolve, reject) => {
      socket.once("error", reject);
      waiting.push(resolve);
      socket.write(bytes);
    });
  try {
    const { session } = await exchange(registerSession());
    return rrReply(await exchange(sendRRData(session, encode(MessageRouterRequest, asked))));
  } finally {
    socket.destroy();
  }
}

const readCount: Request = {
  service: TagService.readTag,
  path: [{ kind: "symbol", name: "Count", form: "ansi" }],
  data: encode(ReadTagRequest, { elements: 1 }),
};

test("the application and the network share tags, and keep them over a reset of the device", async () => {
  const { tags } = target;
  tags?.set("Count", 77);
  const writes: string[] = [];
  tags?.onWrite(({ name }) => writes.push(name));

  expect((await ask(request(0x05, [0x01, 1], Uint8Array.of(0)))).status).toBe(0);
  while (!events.includes("restart")) await wait(5);
  await expect.poll(async () => await ask(readCount).then(({ status }) => status, String)).toBe(0);

  expect(decode(ReadTagReply, (await ask(readCount)).data).data).toEqual(Uint8Array.of(77, 0, 0, 0));
  const data = Uint8Array.of(0xc4, 0, 1, 0, 9, 0, 0, 0);
  expect((await ask({ ...readCount, service: TagService.writeTag, data })).status).toBe(0);
  expect(writes).toEqual(["Count"]);
  expect(target.tags?.get("Count")).toBe(9);
});
