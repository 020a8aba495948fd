import { Identity } from "@cipsec/objects";
import { connect, type SecurityOptions, type Session } from "@cipsec/originator";
import { Command, FrameStream, headerSize } from "@cipsec/wire";
import net from "node:net";
import tls from "node:tls";
import { productName, startDevices } from "../tools/fuzz/device.ts";
import { nameIn, registerFrame } from "../tools/fuzz/prober.ts";
import { nameRequest, unconnected } from "../tools/fuzz/requests.ts";
import { startServer } from "./child.ts";
import { makeCredentials } from "./credentials.ts";
import { alternate, compared, type Benchmark, type Contestant, type Row } from "./measure.ts";

const device = "127.26.16.1";
const reference = { address: "127.26.16.2", tcpPort: 44_818, tlsPort: 2221 };

/** Suite of both sides: 0xC02B. */
const cipher = "ECDHE-ECDSA-AES128-GCM-SHA256";

const rounds = 5;
const roundMs = 700;

/** Requests under way in the pipelined rows. */
const depth = 16;

/** Get_Attribute_Single a second, against a server that sends as many octets for as many octets and does nothing else. */
export const explicit: Benchmark = {
  name: "explicit",
  about: "Get_Attribute_Single a second, one at a time and 16 under way, plain and TLS, against bare node echoes",
  async run() {
    const credentials = await makeCredentials();
    await using cleanUp = new AsyncDisposableStack();
    cleanUp.defer(() => credentials.remove());
    const devices = await startDevices([device]);
    cleanUp.defer(() => devices.stop());
    const session = await register(device, 44_818);
    const sizes = { requestOctets: session.request.length, replyOctets: session.reply.length };
    session.socket.destroy();
    const order = { ...reference, ...sizes, certificate: credentials.serverCertificate, key: credentials.serverKey };
    const echo = await startServer("echo-process.ts", { ...order, cipher });
    cleanUp.defer(() => echo.stop());
    return await measureAll(sizes.replyOctets, cleanUp);
  },
};

async function measureAll(replyOctets: number, cleanUp: AsyncDisposableStack): Promise<readonly Row[]> {
  const contestants: Contestant[] = [];
  const add = (name: string, socket: net.Socket, request: Uint8Array, under: number): void => {
    contestants.push({ name, measure: () => rate(socket, request, replyOctets, under) });
    cleanUp.defer(() => void socket.destroy());
  };
  for (const secure of [false, true]) {
    const kind = secure ? "TLS" : "plain";
    for (const under of [1, depth]) {
      const ours = await register(device, secure ? 2221 : 44_818, secure);

      add(`target ${kind} ${under}`, ours.socket, ours.request, under);
      const port = secure ? reference.tlsPort : reference.tcpPort;
      add(`bare ${kind} echo ${under}`, await dialled(reference.address, port, secure), ours.request, under);
    }

    const originator = await connect({ scheme: secure ? "eips" : "eip", host: device }, secure ? { security } : {});
    cleanUp.use(originator);
    for (const under of [1, depth])
      contestants.push({ name: `originator ${kind} ${under}`, measure: () => asked(originator, under) });
  }
  const spreads = await alternate(contestants, rounds);
  const rows: Row[] = [];
  for (const kind of ["plain", "TLS"]) {
    for (const under of [1, depth]) {
      const words = under === 1 ? "one at a time" : `${under} under way`;
      const unit = "requests/s";
      const name = `target, ${kind}, ${words}`;
      rows.push(compared({ name, unit }, spreads, `target ${kind} ${under}`, `bare ${kind} echo ${under}`));
      rows.push(
        compared(
          { name: `originator and target, ${kind}, ${words}`, unit },
          spreads,
          `originator ${kind} ${under}`,
          `bare ${kind} echo ${under}`,
        ),
      );
    }
  }
  for (const under of [1, depth]) {
    const name = `target, TLS against plain, ${under === 1 ? "one at a time" : `${under} under way`}`;
    rows.push(
      compared({ name, unit: "requests/s", bar: "≥ 0.8" }, spreads, `target TLS ${under}`, `target plain ${under}`),
    );
  }
  return rows;
}

/** The device under test has a certificate that it signed itself. */
const security: SecurityOptions = { acceptAny: true, maxVersion: "TLSv1.2", suites: [0xc02b] };

/** A connected socket without delay. */
async function dialled(host: string, port: number, secure: boolean): Promise<net.Socket> {
  const socket = secure
    ? tls.connect({ host, port, rejectUnauthorized: false, maxVersion: "TLSv1.2", ciphers: cipher })
    : net.connect({ host, port });
  await new Promise<void>((resolve, reject) => {
    socket.once(secure ? "secureConnect" : "connect", () => resolve());
    socket.once("error", reject);
  });
  socket.setNoDelay(true);
  return socket;
}

/** A session on the device, the request that is repeated on it, and its reply, checked. */
async function register(
  host: string,
  port: number,
  secure = false,
): Promise<{ readonly socket: net.Socket; readonly request: Uint8Array; readonly reply: Uint8Array }> {
  const socket = await dialled(host, port, secure);
  const registered = await replyTo(socket, registerFrame);
  const handle = new DataView(registered.buffer, registered.byteOffset).getUint32(4, true);
  const request = unconnected(handle, nameRequest, new Uint8Array(8));
  const reply = await replyTo(socket, request);
  const [event] = new FrameStream().push(reply);
  const name = event?.type === "frame" && event.frame.command === Command.sendRRData ? nameIn(0, event.frame.data) : "";
  if (name !== productName(0)) throw new Error(`the device answers ${name}`);
  return { socket, request, reply };
}

async function replyTo(socket: net.Socket, request: Uint8Array): Promise<Uint8Array> {
  const reply = new Promise<Buffer>((resolve) => void socket.once("data", resolve));
  socket.write(request);
  const bytes = await reply;
  if (bytes.length < headerSize) throw new Error("a reply in pieces");
  return new Uint8Array(bytes);
}

/** Requests a second on one socket, with `under` of them under way. The same client for us and the reference: it counts octets. */
async function rate(socket: net.Socket, request: Uint8Array, replyOctets: number, under: number): Promise<number> {
  const batch = new Uint8Array(request.length * under);
  for (let i = 0; i < under; i += 1) batch.set(request, i * request.length);
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new Error("the other side hung up"));
    socket.once("close", onClose);
    let octets = 0;
    let done = 0;
    let isOver = false;
    const began = performance.now();
    const onData = (bytes: Buffer): void => {
      octets += bytes.length;
      const whole = Math.floor(octets / replyOctets);
      if (whole === 0) return;
      octets -= whole * replyOctets;
      done += whole;
      isOver ||= performance.now() - began > roundMs;
      sent -= whole;
      if (!isOver) {
        sent += whole;
        socket.write(batch.subarray(0, whole * request.length));
      } else if (sent === 0) {
        socket.off("data", onData);
        socket.off("close", onClose);
        resolve((done * 1000) / (performance.now() - began));
      }
    };
    let sent = under;
    socket.on("data", onData);
    socket.write(batch);
  });
}

/** Requests a second through our originator's typed access. */
async function asked(session: Session, under: number): Promise<number> {
  const identity = session.object(Identity, 1);
  const began = performance.now();
  let done = 0;
  const one = async (): Promise<void> => {
    while (performance.now() - began < roundMs) {
      await identity.get("productName");
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: under }, one));
  return (done * 1000) / (performance.now() - began);
}
