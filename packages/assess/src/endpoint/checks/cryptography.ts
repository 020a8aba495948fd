import { cipherSuite, cipherSuites, cipherSuiteText } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { EvidenceRef } from "../../evidence/evidence.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { allowedSuites, servesDtls, whoKnowsSuites } from "../allowed.ts";
import { sayHello, type HelloAnswer, type HelloWish } from "../client-hello.ts";
import { sayDtlsHello } from "../dtls-hello.ts";
import { renegotiation } from "../renegotiation.ts";
import type { EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Versions that nobody may speak any more. @see RFC 7568, RFC 8996 */
const oldVersions = [
  { version: 0x0300, name: "SSL 3.0" },
  { version: 0x0301, name: "TLS 1.0" },
  { version: 0x0302, name: "TLS 1.1" },
] as const;

/** Suites that are broken or were never sound, by why. IANA numbers. */
const badSuites = [
  { why: "no protection at all", suites: [0x0000, 0x0001, 0x0002] },
  { why: "RC4", suites: [0x0004, 0x0005, 0xc007, 0xc011, 0x008a] },
  { why: "DES and triple DES", suites: [0x0009, 0x000a, 0x0016, 0xc008, 0xc012, 0x008b] },
  { why: "export keys", suites: [0x0003, 0x0006, 0x0008, 0x0014, 0x0062, 0x0064] },
  { why: "no authentication", suites: [0x0018, 0x0034, 0x006c, 0xc018, 0xc019, 0x00a6] },
  { why: "MACs of MD5 or SHA-1 with static RSA", suites: [0x002f, 0x0035, 0x0041] },
] as const;

/** Suites beyond those of CIP Security that stacks often have; allowed or not, attribute 4 must say so. */
const further = [0xc02f, 0xc030, 0xc009, 0xc00a, 0xc013, 0xc014, 0x009c, 0x009d, 0xcca8, 0x00a8, 0x00ae];

/** Suites of TLS 1.3, those that only authenticate among them. @see RFC 8446 B.4, RFC 9150 */
const tls13: readonly number[] = [0x1301, 0x1302, 0x1303, 0x1304, 0x1305, 0xc0b4, 0xc0b5];

/** Stands in a list of suites for an empty `renegotiation_info`. @see RFC 5746 3.3 */
const renegotiationScsv = 0x00ff;

/** DEFLATE. @see RFC 3749 */
const compressions = [1];

/** Those of them with an ephemeral key and a certificate. */
const furtherEphemeral: readonly number[] = [0xc02f, 0xc030, 0xc009, 0xc00a, 0xc013, 0xc014, 0xcca8];

/** B-4.3: what the device negotiates, by trying, against what it says and against the policy. */
export const cryptography: Check<EndpointSubject> = {
  id: "B-4.3",
  version: "1.3",
  title: "Versions and suites are those of the policy",
  requirements: ["CR 4.3"],
  part: "protocol",
  method: "test",
  needs: [],
  estimateMs: 5000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const listed = await allowedSuites(subject);
    const all: readonly number[] = [...new Set([...cipherSuites.map(({ id }) => id), ...further])];
    // Without its list a device is asked for everything that is known; what it takes is judged all the same.
    const allowed = listed ?? all;
    const probe = async (
      name: string,
      version: number,
      suites: readonly number[],
      more: Pick<HelloWish, "compressions" | "renegotiationInfo"> = {},
    ): Promise<{ answer: HelloAnswer; evidence: readonly EvidenceRef[] }> => {
      const answer = await sayHello(subject, { version, suites, ...more });
      const sent = `a ClientHello of version 0x${version.toString(16)} with ${suites.length} suites`;
      return {
        answer,
        evidence: [
          await recorder.exchange(name, { sent, request: answer.request, reply: answer.reply, answer: answer.words }),
        ],
      };
    };
    const usual = await probe("allowed", 0x0303, allowed);
    const observations: Observation[] = [
      control({
        name: "a TLS 1.2 hello with the allowed suites",
        expected: "accepted",
        observed: usual.answer.words,
        holds: usual.answer.kind === "hello",
        evidence: usual.evidence,
      }),
    ];
    for (const { version, name } of oldVersions) {
      const { answer, evidence } = await probe(`version-${version.toString(16)}`, version, [
        0xc009,
        0xc00a,
        0xc013,
        0xc014,
        0x002f,
        0x0035,
        ...all,
      ]);
      const isOld = answer.kind === "hello" && (answer.version ?? 0) <= version;
      observations.push(
        negative({ name, expected: "refused", observed: answer.words, holds: refusedBy(answer, isOld), evidence }),
      );
    }
    for (const { why, suites } of badSuites) {
      const { answer, evidence } = await probe(`suites-${suites[0].toString(16)}`, 0x0303, suites);
      observations.push(
        negative({
          name: `suites: ${why}`,
          expected: "refused",
          observed: answer.words,
          holds: refusedBy(answer, answer.kind === "hello"),
          evidence,
        }),
      );
    }
    const live: number[] = [];
    const tried = all.filter((id) => cipherSuite(id)?.version !== "1.3");
    const lines: EvidenceRef[] = [];
    for (const id of [...tried, ...tls13]) {
      const version = tls13.includes(id) ? 0x0304 : 0x0303;
      const { answer, evidence } = await probe(`suite-${id.toString(16)}`, version, [id]);
      lines.push(...evidence);
      if (answer.kind === "hello" && answer.suite === id) live.push(id);
    }
    const taken = listed ?? live;
    const declared = taken.filter((id) => tried.includes(id) || tls13.includes(id));
    const undeclared = live.filter((id) => !allowed.includes(id));
    const dead = declared.filter(
      (id) => !live.includes(id) && cipherSuite(id)?.openssl !== undefined && fits(id, live),
    );
    const weak = await weakLists(subject, recorder, live);
    const withoutEtm = await macFirst(subject, recorder, live);
    const offers = await oldOffers(
      "",
      async (name, more, scsv) => await probe(name, 0x0303, [...allowed, ...scsv], more),
    );
    const again = await renegotiation(subject, recorder);
    observations.push(
      capability({
        name: "negotiated suites",
        expected: "only those of attribute 4",
        observed:
          listed === undefined
            ? `the device has no list; it takes ${live.map(cipherSuiteText).join(", ")}`
            : undeclared.length === 0
              ? live.map(cipherSuiteText).join(", ") || "none"
              : `also ${undeclared.map(cipherSuiteText).join(", ")}`,
        holds: listed === undefined ? undefined : undeclared.length === 0,
        ...(listed === undefined ? { askedOf: whoKnowsSuites } : {}),
        evidence: lines,
      }),
      capability({
        name: "allowed suites work",
        expected: "each suite of attribute 4 that fits the device's key",
        observed: dead.length === 0 ? "they do" : `not ${dead.map(cipherSuiteText).join(", ")}`,
        holds: dead.length === 0,
        otherwise: "partial",
      }),
      capability({
        name: "integrity-only suites",
        expected: "not allowed, unless declared for I/O alone",
        observed:
          taken
            .filter((id) => cipherSuite(id)?.encrypts === false)
            .map(cipherSuiteText)
            .join(", ") || "none",
        holds: !taken.some((id) => cipherSuite(id)?.encrypts === false),
      }),
      capability({
        name: "forward secrecy",
        expected: "no static RSA key exchange",
        observed:
          taken
            .filter((id) => cipherSuite(id)?.keyExchange === "rsa")
            .map(cipherSuiteText)
            .join(", ") || "every suite has it",
        holds: !taken.some((id) => cipherSuite(id)?.keyExchange === "rsa"),
        otherwise: "partial",
      }),
      ...offers,
      ...again.observations,
      ...weak,
      ...withoutEtm,
      ...(servesDtls(subject) ? await overDtls(subject, recorder, allowed) : []),
    );
    return {
      observations,
      howMet:
        "TLS 1.2 or newer with AEAD, or CBC with Encrypt-then-MAC, ECDHE, and SHA-2; what is negotiated is what the settings say.",
      conditions: ["policy: RFC 9325 and NIST SP 800-52 revision 2, as of 2026-11"],
      limits: [
        ...again.limits,
        "renegotiation over DTLS and early data of TLS 1.3 were not tried",
        "of groups and signature schemes only the weak ones were tried alone",
      ],
    };
  },
};

/** Groups below 224 bits, and signatures with MD5 or SHA-1. IANA numbers. */
const weakChoices = [
  {
    name: "weak groups",
    expected: "no key exchange over a curve of less than 224 bits",
    lists: { groups: [1, 3, 16, 18, 19] },
  },
  {
    name: "signatures with MD5 or SHA-1",
    expected: "no handshake is signed so",
    lists: { signatures: [0x0203, 0x0201, 0x0101, 0x0202] },
  },
] as const;

/** Offers nothing but weak groups, then nothing but weak signatures. Suites without a key exchange of their own are left out. */
async function weakLists(
  subject: EndpointSubject,
  recorder: Recorder,
  live: readonly number[],
): Promise<readonly Observation[]> {
  const suites = live.filter((id) => cipherSuite(id)?.keyExchange === "ecdhe-ecdsa" || furtherEphemeral.includes(id));
  if (suites.length === 0) return [];
  const observations: Observation[] = [];
  for (const { name, expected, lists } of weakChoices)
    observations.push(
      negative({
        name,
        expected,
        ...(await repeated(async (run) => {
          const answer = await sayHello(subject, { version: 0x0303, suites, ...lists });
          const { request, reply, words } = answer;
          const evidence = [
            await recorder.exchange(`${name.replaceAll(/[^a-z]+/gi, "-")}-${run}`, {
              sent: `a hello with ${name} alone`,
              request,
              reply,
              answer: words,
            }),
          ];
          return { holds: refusedBy(answer, answer.kind === "hello"), observed: words, evidence };
        })),
      }),
    );
  return observations;
}

/** Whether suites with CBC come with Encrypt-then-MAC. */
async function macFirst(
  subject: EndpointSubject,
  recorder: Recorder,
  live: readonly number[],
): Promise<readonly Observation[]> {
  const cbc = live.filter((id) => cipherSuiteText(id).includes("_CBC_"));
  if (cbc.length === 0) return [];
  const { encryptThenMac, words, request, reply } = await sayHello(subject, { version: 0x0303, suites: cbc });
  return [
    capability({
      name: "CBC",
      expected: "with Encrypt-then-MAC (RFC 7366)",
      observed: encryptThenMac === true ? "with it" : `without it: ${words}`,
      holds: encryptThenMac,
      otherwise: "partial",
      evidence: [
        await recorder.exchange("cbc", { sent: "a hello with CBC suites alone", request, reply, answer: words }),
      ],
    }),
  ];
}

/** The same questions over DTLS: its old version, and suites that do not encrypt. */
async function overDtls(
  subject: EndpointSubject,
  recorder: Recorder,
  allowed: readonly number[],
): Promise<readonly Observation[]> {
  const tls12 = allowed.filter((id) => cipherSuite(id)?.version !== "1.3");
  const ask = async (
    name: string,
    version: number,
    suites: readonly number[],
    more: Pick<HelloWish, "compressions" | "renegotiationInfo"> = {},
  ) => {
    const answer = await sayDtlsHello(subject, { version, suites, ...more });
    const { request, reply, words } = answer;
    return {
      answer,
      evidence: [await recorder.exchange(name, { sent: `${name} over DTLS`, request, reply, answer: words })],
    };
  };
  const usual = await ask("dtls-allowed", 0xfefd, tls12);
  const old = await ask("dtls-10", 0xfeff, [0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035, ...tls12]);
  const bad = await ask(
    "dtls-bad",
    0xfefd,
    badSuites.flatMap(({ suites }) => suites),
  );
  const offers = await oldOffers(
    " over DTLS",
    async (name, more, scsv) => await ask(`dtls-${name}`, 0xfefd, [...tls12, ...scsv], more),
  );
  const isOld = old.answer.kind === "hello" && old.answer.version === 0xfeff;
  // A server may drop what it does not like without a word; the control beside it shows that it answers.
  const quietly = ({ answer }: typeof old, isAccepted: boolean): boolean | undefined =>
    answer.kind === "silence" && usual.answer.kind === "hello" ? true : refusedBy(answer, isAccepted);
  return [
    control({
      name: "a DTLS 1.2 hello with the allowed suites",
      expected: "accepted",
      observed: usual.answer.words,
      holds: usual.answer.kind === "hello",
      evidence: usual.evidence,
    }),
    negative({
      name: "DTLS 1.0",
      expected: "refused",
      observed: old.answer.words,
      holds: quietly(old, isOld),
      evidence: old.evidence,
    }),
    negative({
      name: "bad suites over DTLS",
      expected: "refused",
      observed: bad.answer.words,
      holds: quietly(bad, bad.answer.kind === "hello"),
      evidence: bad.evidence,
    }),
    ...offers,
  ];
}

interface Asked {
  readonly answer: HelloAnswer;
  readonly evidence: readonly EvidenceRef[];
}

/** The two ways to signal that renegotiations are bound. @see RFC 5746 3.3, 3.4 */
const signals = [
  { name: "compression", more: { renegotiationInfo: new Uint8Array() }, scsv: [] },
  { name: "compression-scsv", more: {}, scsv: [renegotiationScsv] },
] as const;

/** Offers DEFLATE beside no compression, and signals that renegotiations are bound, each time in another way. */
async function oldOffers(
  over: string,
  ask: (
    name: string,
    more: Pick<HelloWish, "compressions" | "renegotiationInfo">,
    scsv: readonly number[],
  ) => Promise<Asked>,
): Promise<readonly Observation[]> {
  const all: Asked[] = [];
  const plain: HelloAnswer[] = [];
  for (const { name, more, scsv } of signals) {
    const both = await ask(name, { ...more, compressions }, scsv);
    // Who does not take a hello with DEFLATE in it may still answer the signal.
    const signal = both.answer.kind === "hello" ? both : await ask(`${name}-none`, more, scsv);
    all.push(...new Set([both, signal]));
    plain.push(signal.answer);
  }
  const evidence = all.flatMap((one) => one.evidence);
  const compressed = all.find(({ answer: { compression = 0 } }) => compression !== 0)?.answer;
  const unanswered = plain.find(({ kind }) => kind !== "hello");
  const unbound = plain.filter(({ bindsRenegotiation }) => bindsRenegotiation !== true);
  return [
    capability({
      name: `compression${over}`,
      expected: "not negotiated",
      observed: compressed === undefined ? "not negotiated" : `method ${compressed.compression}: ${compressed.words}`,
      holds: compressed !== undefined ? false : unanswered === undefined ? true : undefined,
      evidence,
    }),
    capability({
      name: `renegotiation_info${over}`,
      expected: "in the answer to whoever signals it (RFC 5746)",
      observed:
        unanswered?.words ?? (unbound.length === 0 ? "it is" : `not in ${unbound.length} of ${plain.length} answers`),
      holds: unanswered === undefined ? unbound.length === 0 : undefined,
      otherwise: "partial",
      evidence,
    }),
  ];
}

/** A suite for certificates is not negotiated by a device that proves itself by a key, and the other way round. */
function fits(id: number, live: readonly number[]): boolean {
  const auth = cipherSuite(id)?.auth;
  return live.some((other) => cipherSuite(other)?.auth === auth);
}

function refusedBy(answer: HelloAnswer, isAccepted: boolean): boolean | undefined {
  if (isAccepted) return false;
  return answer.kind === "silence" || answer.kind === "other" ? undefined : true;
}
