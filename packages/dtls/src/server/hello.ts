import { randomBytes } from "node:crypto";
import { pskOf } from "../credentials.ts";
import { fail } from "../exchange.ts";
import type { Exchange, Next, Step } from "../exchange.ts";
import { readClientHello } from "../handshake/client-hello.ts";
import type { ClientHello } from "../handshake/client-hello.ts";
import {
  checkPointFormats,
  checkRenegotiationInfo,
  extensionTypes,
  firstRenegotiationInfo,
  flag,
  pointFormats,
  readConnectionId,
  readFlag,
  readNumbers,
  readServerName,
  readSupportedVersions,
  writeConnectionId,
} from "../handshake/extensions.ts";
import { handshakeTypes } from "../handshake/message.ts";
import { writeServerHello } from "../handshake/server-hello.ts";
import { dtls12 } from "../record/header.ts";
import type { SessionState } from "../session.ts";
import type { ServerOptions } from "../settings.ts";
import { cipherSuite } from "../suites.ts";
import { chooseSuite, isUsable } from "./choose.ts";
import type { ClientOffer } from "./choose.ts";
import { sendResumedFlight } from "./resumed-flight.ts";
import { sendServerFlight } from "./server-flight.ts";

/** A client that lists this instead of the extension means the same. @see RFC 5746 3.3 */
const renegotiationScsv = 0x00ff;

/** Waits for the hello whose cookie was right. */
export function startServer(x: Exchange, options: ServerOptions, now: () => number): Step {
  return {
    name: "waiting for ClientHello",
    takes: [handshakeTypes.clientHello],
    on(message) {
      const hello = readClientHello(message.body);
      const offer = readOffer(hello);
      x.hear(message);
      x.clientRandom = hello.random.slice();
      x.serverRandom = randomBytes(32);
      x.serverName = offer.serverName;
      x.extendedMaster = offer.extendedMaster;
      const session = findSession(x, options, offer, now());
      return session === undefined ? full(x, options, offer, now) : resume(x, offer, session);
    },
  };
}

function readOffer(hello: ClientHello): ClientOffer {
  const { extensions, suites } = hello;
  if (hello.version > dtls12) {
    throw fail(
      "protocol_version",
      `the client speaks version 0x${hello.version.toString(16)} at most, DTLS 1.2 is spoken`,
    );
  }
  const versions = readSupportedVersions(extensions.get(extensionTypes.supportedVersions));
  if (versions !== undefined && !versions.includes(dtls12)) {
    throw fail("protocol_version", "the client lists versions, and DTLS 1.2 is not among them");
  }
  const info = extensions.get(extensionTypes.renegotiationInfo);
  checkRenegotiationInfo(info);
  checkPointFormats(extensions.get(extensionTypes.pointFormats));
  return {
    suites,
    sessionId: hello.sessionId.slice(),
    groups: readNumbers(extensions.get(extensionTypes.supportedGroups), "supported_groups"),
    schemes: readNumbers(extensions.get(extensionTypes.signatureAlgorithms), "signature_algorithms"),
    serverName: readServerName(extensions.get(extensionTypes.serverName)),
    encryptThenMac: readFlag(extensions.get(extensionTypes.encryptThenMac), "encrypt_then_mac"),
    extendedMaster: readFlag(extensions.get(extensionTypes.extendedMasterSecret), "extended_master_secret"),
    ticket: extensions.get(extensionTypes.sessionTicket),
    cid: readConnectionId(extensions.get(extensionTypes.connectionId))?.slice(),
    pointFormats: extensions.has(extensionTypes.pointFormats),
    renegotiationInfo: info !== undefined || suites.includes(renegotiationScsv),
  };
}

/**
 * The session that the client shows, where it may be taken up under today's settings.
 *
 * @throws {DtlsError} alert `handshake_failure` where the client leaves out the extended master secret that the session was made with.
 * @see RFC 7627 5.3; RFC 6066 3
 */
function findSession(
  { settings }: Exchange,
  { sessions, clientAuth }: ServerOptions,
  offer: ClientOffer,
  now: number,
): SessionState | undefined {
  if (sessions === undefined) return undefined;
  const { ticket, sessionId } = offer;
  const state =
    ticket !== undefined && ticket.length > 0
      ? sessions.openTicket(ticket, now)
      : sessionId.length > 0
        ? sessions.find(sessionId, now)
        : undefined;
  if (state === undefined) return undefined;
  if (!offer.extendedMaster) {
    throw fail("handshake_failure", "the client takes up a session without the extended master secret that it has");
  }
  if (state.serverName !== offer.serverName || !isUsable(state.suite, settings, offer)) return undefined;
  const { pskIdentity, peerChain } = state;
  if (pskIdentity !== undefined) return pskOf(settings.credentials, pskIdentity) === undefined ? undefined : state;
  return clientAuth === "require" && peerChain.length === 0 ? undefined : state;
}

function full(x: Exchange, options: ServerOptions, offer: ClientOffer, now: () => number): Next {
  const choice = chooseSuite(x.settings, offer);
  x.suite = choice.suite;
  settleProtection(x, offer);
  const { sessions } = options;
  const asksClient = x.chosen.authentication !== "psk" && (options.clientAuth ?? "none") !== "none";
  const resumable = sessions !== undefined && x.extendedMaster;
  const ticketDue = resumable && offer.ticket !== undefined && !asksClient;
  const sessionId = resumable && !ticketDue ? randomBytes(32) : new Uint8Array(0);
  sayHello(x, offer, sessionId, ticketDue);
  return sendServerFlight(x, options, choice, { sessionId, ticketDue, asksClient, now });
}

function resume(x: Exchange, offer: ClientOffer, session: SessionState): Next {
  x.suite = cipherSuite(session.suite);
  settleProtection(x, offer);
  sayHello(x, offer, offer.sessionId, false);
  return sendResumedFlight(x, session);
}

function settleProtection(x: Exchange, offer: ClientOffer): void {
  x.encryptThenMac = offer.encryptThenMac && x.chosen.bulk.kind === "cbc";
  if (offer.cid !== undefined && x.settings.connectionId !== undefined) {
    x.peerCid = offer.cid;
    x.ourCid = x.settings.connectionId;
  }
}

function sayHello(x: Exchange, offer: ClientOffer, sessionId: Uint8Array, ticketDue: boolean): void {
  const extensions = new Map<number, Uint8Array>();
  if (offer.renegotiationInfo) extensions.set(extensionTypes.renegotiationInfo, firstRenegotiationInfo);
  if (offer.pointFormats && x.chosen.keyExchange !== "rsa") extensions.set(extensionTypes.pointFormats, pointFormats);
  if (x.encryptThenMac) extensions.set(extensionTypes.encryptThenMac, flag);
  if (x.extendedMaster) extensions.set(extensionTypes.extendedMasterSecret, flag);
  if (ticketDue) extensions.set(extensionTypes.sessionTicket, flag);
  const { connectionId } = x.settings;
  if (offer.cid !== undefined && connectionId !== undefined) {
    extensions.set(extensionTypes.connectionId, writeConnectionId(connectionId));
  }
  const suite = x.chosen.id;
  const hello = { version: dtls12, random: x.serverRandom, sessionId, suite, extensions };
  x.say(handshakeTypes.serverHello, writeServerHello(hello));
}
