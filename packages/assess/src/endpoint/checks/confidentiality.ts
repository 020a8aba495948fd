import { randomBytes } from "node:crypto";
import { Identity } from "@cipsec/objects";
import { openIo } from "@cipsec/originator";
import { Service, cipherSuites, objectPath } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { allowedSuites, knownSuites, servesDtls, whoKnowsSuites } from "../allowed.ts";
import { sayHello } from "../client-hello.ts";
import { sayDtlsHello } from "../dtls-hello.ts";
import { patient } from "../essential.ts";
import type { EndpointSubject } from "../subject.ts";
import { connectThrough, openRelay } from "../way.ts";
import { withoutSecurity } from "../without-security.ts";

/** Packets of I/O that are looked through. */
const packets = 10;

/** Suites of TLS 1.3 that authenticate and do not encrypt. @see RFC 9150 */
const integrityOnly = [0xc0b4, 0xc0b5];

const nullSuites = cipherSuites.filter(({ encrypts }) => !encrypts).map(({ id }) => id);

/** B-4.1: what the device says over its secure port cannot be read on the line, and nothing unencrypted is negotiated. */
export const confidentiality: Check<EndpointSubject> = {
  id: "B-4.1",
  version: "1.2",
  title: "What is exchanged cannot be read on the line",
  requirements: ["CR 4.1"],
  part: "protocol",
  method: "test",
  crossReferences: ["TC_CR4.1_1"],
  needs: ["credentials"],
  estimateMs: 3000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const security = subject.security ?? {};
    const observations: Observation[] = [
      control({
        name: "an encrypting suite",
        expected: "let in",
        ...mustAccept(await tryIn(subject, recorder, "encrypting", { sent: "all suites that encrypt", security })),
      }),
    ];
    const offered = await sayHello(subject, { version: 0x0303, suites: nullSuites });
    const asCaller = { ...security, suites: nullSuites, maxVersion: "TLSv1.2" } as const;
    observations.push(
      negative({
        name: "only suites without encryption",
        expected: "refused",
        ...(await repeated(async (run) =>
          mustRefuse(await tryIn(subject, recorder, `null-${run}`, { sent: "only NULL suites", security: asCaller })),
        )),
      }),
      negative({
        name: "a bare hello with only NULL suites",
        expected: "an alert",
        observed: offered.words,
        holds:
          offered.kind === "hello" ? false : offered.kind === "alert" || offered.kind === "closed" ? true : undefined,
        evidence: [
          await recorder.exchange("null-hello", {
            sent: "a TLS 1.2 ClientHello with NULL suites only",
            request: offered.request,
            reply: offered.reply,
            answer: offered.words,
          }),
        ],
      }),
    );
    const bare = await sayHello(subject, { version: 0x0304, suites: integrityOnly });
    observations.push(
      negative({
        name: "a bare hello of TLS 1.3 with only integrity-only suites",
        expected: "an alert",
        observed: bare.words,
        holds: bare.kind === "hello" ? false : bare.kind === "alert" || bare.kind === "closed" ? true : undefined,
        evidence: [
          await recorder.exchange("null-hello-13", {
            sent: "a TLS 1.3 ClientHello with the suites of RFC 9150 only",
            request: bare.request,
            reply: bare.reply,
            answer: bare.words,
          }),
        ],
      }),
    );
    const listed = await allowedSuites(subject);
    const allowed = knownSuites(listed).filter(({ encrypts }) => !encrypts);
    observations.push(
      capability({
        name: "suites without encryption",
        expected: "none is allowed (attribute 4)",
        observed:
          listed === undefined
            ? "the device has no list of suites"
            : allowed.length === 0
              ? "none is"
              : allowed.map(({ name }) => name).join(", "),
        holds: listed === undefined ? undefined : allowed.length === 0,
        ...(listed === undefined ? { askedOf: whoKnowsSuites } : {}),
      }),
      await marker(subject, recorder),
    );
    if (servesDtls(subject)) observations.push(...(await overDtls(subject, recorder)));
    const plain =
      subject.posture?.ports.filter(
        ({ port, protocol, open }) =>
          open && ((port === 44_818 && protocol === "tcp") || (port === 2222 && protocol === "udp")),
      ) ?? [];
    observations.push(
      capability({
        name: "ports without protection",
        expected: "closed",
        observed:
          plain.length === 0
            ? "44818/tcp and 2222/udp are closed"
            : plain.map(({ port, protocol }) => `${port}/${protocol} is open`).join(", "),
        holds: plain.length === 0,
      }),
    );
    return {
      observations,
      howMet: "TLS with encrypting suites only; the ports for unprotected messages and I/O are closed.",
      conditions: ["no NULL suite is allowed (EtherNet/IP Security attribute 4)", "44818/tcp and 2222/udp are closed"],
      limits:
        subject.io === undefined || !subject.disruptive ? ["I/O data over DTLS was not searched for a marker"] : [],
      userAction:
        "Keep integrity-only suites for I/O that need not be secret, and say so in the zone's security concept.",
    };
  },
};

/** A random text is sent in a request and must not stand in what was on the line. */
async function marker(subject: EndpointSubject, recorder: Recorder): Promise<Observation> {
  await using relay = await openRelay(subject, "tls");
  await using session = await connectThrough(subject, relay);
  const text = Buffer.from(`marker-${randomBytes(16).toString("hex")}`);
  // What the device answers does not matter: a read takes no data, and says so or ignores it.
  const reply = await session.request({
    service: Service.getAttributeSingle,
    path: [...objectPath(Identity.classId, 1), { kind: "attribute", value: Identity.attributes.serialNumber.id }],
    data: text,
  });
  const onLine = Buffer.from(relay.octets("toDevice"));
  return negative({
    name: "a marker on the line",
    expected: "not in the octets that were captured while it was sent",
    observed: onLine.includes(text)
      ? "it is there in the clear"
      : `not in ${onLine.length} octets; the device answered it with status 0x${reply.status.toString(16)}`,
    holds: !onLine.includes(text),
    evidence: [await recorder.capture("marker", relay.capture())],
  });
}

/** NULL suites over DTLS; and where outputs may be moved, a marker in what goes out as I/O data. */
async function overDtls(subject: EndpointSubject, recorder: Recorder): Promise<readonly Observation[]> {
  const offered = await sayDtlsHello(subject, { version: 0xfefd, suites: nullSuites });
  const observations = [
    negative({
      name: "a bare hello over DTLS with only NULL suites",
      expected: "an alert, or no answer",
      observed: offered.words,
      holds: offered.kind === "other" ? undefined : offered.kind !== "hello",
      evidence: [
        await recorder.exchange("null-hello-dtls", {
          sent: "a DTLS 1.2 ClientHello with NULL suites only",
          request: offered.request,
          reply: offered.reply,
          answer: offered.words,
        }),
      ],
    }),
  ];
  await using relay = await openRelay(subject, "dtls");
  const { io, disruptive, clock } = subject;
  if (io === undefined || !disruptive || relay === undefined || io.oToT.size < 8) return observations;
  await using session = await connectThrough(subject, relay, { over: "dtls" });
  const text = randomBytes(io.oToT.size);
  await using connection = await openIo(session, patient(io), { output: text, run: true });
  const until = clock.now() + subject.timeoutMs;
  while (connection.statistics().sent < packets && clock.now() < until)
    await new Promise<void>((resolve) => void clock.after(20, resolve, true));
  const { sent } = connection.statistics();
  const octets = Buffer.concat(relay.datagrams("toDevice").map((one) => one.octets));
  observations.push(
    negative({
      name: "a marker in I/O data",
      expected: "not in the datagrams that were captured while it was sent",
      observed: octets.includes(text) ? "it is there in the clear" : `not in ${sent} packets`,
      holds: sent < packets ? undefined : !octets.includes(text),
      evidence: [await recorder.capture("marker-io", relay.capture())],
    }),
  );
  return observations;
}
