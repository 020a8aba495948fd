import { randomBytes } from "node:crypto";
import { fail } from "../exchange.ts";
import type { Exchange, Next, Step } from "../exchange.ts";
import { writeClientHello } from "../handshake/client-hello.ts";
import {
  checkPointFormats,
  checkRenegotiationInfo,
  extensionTypes,
  firstRenegotiationInfo,
  flag,
  pointFormats,
  readConnectionId,
  readFlag,
  writeConnectionId,
  writeNumbers,
  writeServerName,
} from "../handshake/extensions.ts";
import type { Extensions } from "../handshake/extensions.ts";
import { readHelloVerifyRequest } from "../handshake/hello-verify-request.ts";
import { handshakeTypes } from "../handshake/message.ts";
import type { HandshakeMessage } from "../handshake/message.ts";
import { sameOctets } from "../presentation.ts";
import { readServerHello } from "../handshake/server-hello.ts";
import { dtls12 } from "../record/header.ts";
import { ClientSession } from "../session.ts";
import type { SessionState } from "../session.ts";
import { cipherSuite } from "../suites.ts";
import { awaitResumedFinish } from "./resumed-flight.ts";
import { awaitServerFlight } from "./server-flight.ts";

/** A server that changes its mind about cookies is asked this often. */
const maxCookies = 4;

/** What the client remembers of its hello. */
interface Offer {
  readonly sessionId: Uint8Array;
  readonly extensions: Extensions;
  readonly suites: readonly number[];
  readonly session: SessionState | undefined;
}

/** The first flight: ClientHello, without and then with the cookie. @see RFC 6347 4.2.1 */
export function startClient(x: Exchange, serverName: string | undefined, session: ClientSession | undefined): Step {
  x.clientRandom = randomBytes(32);
  x.serverName = serverName;
  const offer = makeOffer(x, session);
  say(x, offer, new Uint8Array(0));
  return awaitHello(x, offer, 0);
}

function awaitHello(x: Exchange, offer: Offer, cookies: number): Step {
  return {
    name: "waiting for ServerHello",
    takes: [handshakeTypes.helloVerifyRequest, handshakeTypes.serverHello],
    on(message) {
      if (message.type === handshakeTypes.serverHello) return takeServerHello(x, offer, message);
      const cookie = readHelloVerifyRequest(message.body);
      if (cookies === maxCookies)
        throw fail("handshake_failure", `the server asked for a cookie ${maxCookies + 1} times`);
      x.forgetTranscript();
      say(x, offer, cookie);
      return awaitHello(x, offer, cookies + 1);
    },
  };
}

function makeOffer({ settings, serverName }: Exchange, session: ClientSession | undefined): Offer {
  const { credentials } = settings;
  const suites = settings.suites.filter(
    (id) => cipherSuite(id)?.authentication !== "psk" || credentials.psk !== undefined,
  );
  if (suites.length === 0) {
    throw fail("handshake_failure", "every suite needs a pre-shared key, and none was given");
  }
  const earlier = session && ClientSession.open(session);
  const isUsable =
    earlier !== undefined &&
    suites.includes(earlier.state.suite) &&
    isOfNames(earlier.state, serverName, credentials.psk?.identity);
  const usable = isUsable ? earlier : undefined;
  const sessionId = usable === undefined ? new Uint8Array(0) : usable.ticket ? randomBytes(32) : usable.sessionId;
  const extensions = new Map<number, Uint8Array>();
  if (serverName !== undefined) extensions.set(extensionTypes.serverName, writeServerName(serverName));
  extensions.set(extensionTypes.renegotiationInfo, firstRenegotiationInfo);
  extensions.set(extensionTypes.supportedGroups, writeNumbers(settings.groups));
  extensions.set(extensionTypes.pointFormats, pointFormats);
  extensions.set(extensionTypes.signatureAlgorithms, writeNumbers(settings.signatureSchemes));
  if (suites.some((id) => cipherSuite(id)?.bulk.kind === "cbc")) extensions.set(extensionTypes.encryptThenMac, flag);
  extensions.set(extensionTypes.extendedMasterSecret, flag);
  extensions.set(extensionTypes.sessionTicket, usable?.ticket ?? flag);
  if (settings.connectionId !== undefined) {
    extensions.set(extensionTypes.connectionId, writeConnectionId(settings.connectionId));
  }
  return { sessionId, extensions, suites, session: usable?.state };
}

/** Under another name, or as somebody else, a session would prove what is not asked for now. @see RFC 6066 3 */
function isOfNames(state: SessionState, serverName: string | undefined, identity: Uint8Array | undefined): boolean {
  if (state.serverName !== serverName) return false;
  return state.pskIdentity === undefined || (identity !== undefined && sameOctets(state.pskIdentity, identity));
}

function say(x: Exchange, { sessionId, suites, extensions }: Offer, cookie: Uint8Array): void {
  const hello = { version: dtls12, random: x.clientRandom, sessionId, cookie, suites, extensions };
  x.say(handshakeTypes.clientHello, writeClientHello(hello));
  x.endFlight(true);
}

function takeServerHello(x: Exchange, offer: Offer, message: HandshakeMessage): Next {
  const { settings } = x;
  const hello = readServerHello(message.body);
  if (hello.version !== dtls12) {
    throw fail(
      "protocol_version",
      `the server speaks version 0x${hello.version.toString(16)}, only DTLS 1.2 is spoken`,
    );
  }
  const suite = cipherSuite(hello.suite);
  if (suite === undefined || !offer.suites.includes(hello.suite)) {
    throw fail("illegal_parameter", `the server chose suite 0x${hello.suite.toString(16)}, which was not offered`);
  }
  for (const type of hello.extensions.keys()) {
    if (!offer.extensions.has(type)) throw fail("unsupported_extension", `extension ${type} was not offered`);
  }
  checkRenegotiationInfo(hello.extensions.get(extensionTypes.renegotiationInfo));
  checkPointFormats(hello.extensions.get(extensionTypes.pointFormats));
  x.suite = suite;
  x.serverRandom = hello.random.slice();
  x.extendedMaster = readFlag(hello.extensions.get(extensionTypes.extendedMasterSecret), "extended_master_secret");
  x.encryptThenMac = readFlag(hello.extensions.get(extensionTypes.encryptThenMac), "encrypt_then_mac");
  if (suite.bulk.kind === "cbc" && !x.encryptThenMac && !settings.allowsMacThenEncrypt) {
    throw fail(
      "handshake_failure",
      `the server chose ${suite.name} without Encrypt-then-MAC, which is not allowed here`,
    );
  }
  const peerCid = readConnectionId(hello.extensions.get(extensionTypes.connectionId));
  if (peerCid !== undefined) {
    x.peerCid = peerCid.slice();
    x.ourCid = settings.connectionId ?? x.ourCid;
  }
  const ticketComes = readFlag(hello.extensions.get(extensionTypes.sessionTicket), "session_ticket");
  x.hear(message);
  const { sessionId, session } = offer;
  const echoed = sessionId.length > 0 && Buffer.compare(sessionId, hello.sessionId) === 0;
  if (session === undefined || !echoed) return awaitServerFlight(x, hello.sessionId.slice(), ticketComes);
  if (session.suite !== hello.suite || !x.extendedMaster) {
    throw fail(
      "illegal_parameter",
      "the server took the session up with another suite or without extended master secret",
    );
  }
  return awaitResumedFinish(x, session, ticketComes);
}
