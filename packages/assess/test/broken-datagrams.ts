import { originatorTrust } from "@cipsec/originator";
import { makeKeyPair } from "@cipsec/pki";
import { dial, listenDtls, systemClock, verifyWith, type Channel, type TlsPolicy } from "@cipsec/transport";
import {
  ConnectionService,
  Cpf,
  decode,
  encode,
  isStackError,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  noOctets,
  readIo,
  UnconnectedMessage,
  type Value,
} from "@cipsec/wire";
import type { Plant } from "./plant.ts";

/** What is wrong with the DTLS of an endpoint that stands in for a device; everything else goes to a real one behind it. */
export interface DatagramFrontWish {
  readonly address: string;
  /** Address of the device behind. */
  readonly device: string;
  /** `endless` outlast any silence; `brief` end in spite of what is said; `shared` are one to the device, and end in silence. */
  readonly associations?: "endless" | "brief" | "shared";
  /** When there is no room for one more I/O connection: no packets any more for those that are open, or no answer. */
  readonly atLimit?: "mute" | "silent";
  /** Lets I/O through over the first association alone that sends any. */
  readonly onlyFirstIo?: boolean;
  /** Answers Forward_Close, and closes nothing. */
  readonly closesNothing?: boolean;
}

const suites = [0xc02b, 0xc02c];
const dtlsPort = 2221;

/** Milliseconds after which brief associations end: talking ones too, and none before its time. */
const briefMs = 5500;
const silenceS = 5;

const [requestType, responseType] = [0x0001, 0x8001];

/** A DTLS endpoint on port 2221 that does one thing wrong. For tests of the assessor only. */
export async function startDatagramFront(plant: Plant, wish: DatagramFrontWish): Promise<AsyncDisposable> {
  const { address, device, associations, atLimit, closesNothing = false, onlyFirstIo = false } = wish;
  let sender: Channel | undefined;
  const policy = await policyOf(plant, wish);
  const trust = originatorTrust({ ...plant.security, checkName: false, suites, maxVersion: "TLSv1.2" });
  const open = new Set<Channel>();
  const nears = new Set<Channel>();
  const dialDevice = async (): Promise<Channel> => {
    const far = await dial({ protocol: "dtls", host: device, port: dtlsPort, timeoutMs: 10_000, tls: trust.policy });
    open.add(far);
    return far;
  };
  let isFull = false;
  /** What comes from the device, as callers get it. */
  const passOn = (octets: Uint8Array, send: (octets: Uint8Array) => void): void => {
    if (isRefusedOpen(octets)) {
      isFull = true;
      if (atLimit === "silent") return;
    }
    if (isFull && atLimit === "mute" && readIo(octets) !== undefined) return;
    send(octets);
  };
  let shared: Promise<Channel | undefined> | undefined;
  /** The way to the device for one caller, or for all; nothing once the device is gone. */
  const reach = (near: Channel): Promise<Channel | undefined> => {
    const to = associations === "shared" ? nears : [near];
    return dialDevice().then(
      (one) => {
        one.receive((octets) => passOn(octets, (copy) => to.forEach((each) => each.send(copy))));
        return one;
      },
      () => undefined,
    );
  };
  const accept = (near: Channel): void => {
    nears.add(near);
    let far: Promise<Channel | undefined>;
    const join = (): void => {
      far = associations === "shared" ? (shared ??= reach(near)) : reach(near);
      void far
        .then(async (one) => await one?.closed)
        .then(() => {
          shared = undefined;
          if (associations !== "endless") near.destroy();
          else if (nears.has(near)) join();
        });
    };
    join();
    near.receive((octets) => {
      if (onlyFirstIo && readIo(octets) !== undefined && (sender ??= near) !== near) return;
      const reply = closesNothing ? closedReply(octets) : undefined;
      const copy = octets.slice();
      if (reply === undefined) void far.then((one) => one?.send(copy));
      else near.send(reply);
    });
    if (associations === "brief") systemClock.after(briefMs, () => near.destroy());
    void near.closed.then(() => {
      nears.delete(near);
      if (associations !== "shared") void far.then((one) => one?.destroy());
    });
  };
  const listener = await listenDtls({
    address,
    port: dtlsPort,
    tls: () => policy,
    accept,
    ...(associations === "shared" ? { idleTimeoutS: () => silenceS } : {}),
  });
  return {
    async [Symbol.asyncDispose]() {
      await listener.close();
      for (const one of open) one.destroy();
    },
  };
}

/** The front's own certificate, for callers that the plant vouches for. */
async function policyOf(plant: Plant, { address, device }: DatagramFrontWish): Promise<TlsPolicy> {
  const { publicKey, privateKey } = await makeKeyPair();
  const san = { ip: [address, device] };
  const issued = await plant.ca.issue({ profile: "device", publicKey, subject: { commonName: "front" }, san });
  return {
    suites,
    maxVersion: "TLSv1.2",
    certificates: [{ chain: issued.chain.map(({ der }) => der), key: privateKey }],
    sendChain: true,
    psks: [],
    verifyPeer: true,
    verify: verifyWith({ anchors: [plant.ca.root], checkName: false, clock: systemClock }),
  };
}

/** Whether a datagram of the device refuses a Forward_Open. */
function isRefusedOpen(octets: Uint8Array): boolean {
  const message = messageIn(octets);
  if (message?.type !== responseType) return false;
  const { service, status } = decode(MessageRouterReply, message.message);
  return opens.includes(service) && status !== 0;
}

const opens: readonly number[] = [ConnectionService.forwardOpen, ConnectionService.largeForwardOpen];

/** The answer to a Forward_Close, as if the connection had been closed; nothing for any other request. */
function closedReply(octets: Uint8Array): Uint8Array | undefined {
  const message = messageIn(octets);
  if (message?.type !== requestType) return undefined;
  const { service } = decode(MessageRouterRequest, message.message);
  if (service !== ConnectionService.forwardClose) return undefined;
  const reply = encode(MessageRouterReply, { service, status: 0, extended: [], data: noOctets });
  const data = encode(UnconnectedMessage, { ...message, type: responseType, message: reply });
  return encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]);
}

/** The message in a datagram; nothing for I/O. */
function messageIn(octets: Uint8Array): Value<typeof UnconnectedMessage> | undefined {
  if (readIo(octets) !== undefined) return undefined;
  try {
    const [item] = decode(Cpf, octets);
    return item?.type === ItemType.unconnectedMessage ? decode(UnconnectedMessage, item.data) : undefined;
  } catch (error) {
    if (isStackError(error)) return undefined;
    throw error;
  }
}
