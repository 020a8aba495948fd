import { cipherSuite } from "@cipsec/wire";
import type { CertificateReport, Posture } from "./posture.ts";

/** One weakness of a device, and what to do about it. `id` is stable. */
export interface Finding {
  readonly id: string;
  readonly severity: "high" | "medium" | "low";
  readonly what: string;
  readonly fix: string;
}

/** What findings are judged by beside the posture itself. */
export interface FindingContext {
  /** Nothing without a clock: expiry is not judged then. */
  readonly now: Date | undefined;
  readonly warningDays: number;
}

type Facts = Omit<Posture, "findings">;

const dayMs = 24 * 60 * 60 * 1000;

/** Judges what was read; pure. The worst come first. @param suites Numbers of the allowed suites. */
export function findingsOf(facts: Facts, suites: readonly number[], context: FindingContext): readonly Finding[] {
  const all = [
    ...stateFindings(facts),
    ...portFindings(facts),
    ...suiteFindings(facts, suites),
    ...trustFindings(facts, suites, context),
    ...channelFindings(facts),
  ];
  const rank = { high: 0, medium: 1, low: 2 };
  return all.sort((a, b) => rank[a.severity] - rank[b.severity]);
}

function stateFindings({ security }: Facts): Finding[] {
  if (security === null)
    return [
      high(
        "no-cip-security",
        "The device has no CIP Security: everyone on the network can read and change it.",
        "Put it behind a shield or into a conduit of its own.",
      ),
    ];
  const { cipState, ethernetIpState } = security;
  if (cipState === "configured" && ethernetIpState === "configured") return [];
  // What a device configured by itself is in force, though no tool has ended a configuration session yet.
  if (ethernetIpState === "pull-completed" && (cipState === "factory-default" || cipState === "configured")) return [];
  if (cipState === "factory-default" || ethernetIpState === "factory-default")
    return [
      high(
        "factory-default",
        "The device is at factory default: anyone may commission it.",
        "Run 'cipsec commission' on it.",
      ),
    ];
  if (cipState === "incomplete")
    return [
      high("incomplete-configuration", "A commissioning was begun and not finished.", "Run 'cipsec commission' again."),
    ];
  if (cipState === "in-progress" || ethernetIpState === "in-progress")
    return [
      medium(
        "configuration-in-progress",
        "A tool is configuring the device now.",
        "Wait until it is done, or its timer has run out.",
      ),
    ];
  return [
    medium(
      "not-configured",
      `CIP Security is ${cipState}, EtherNet/IP Security ${ethernetIpState}.`,
      "Run 'cipsec commission' on it.",
    ),
  ];
}

function portFindings({ security, ports }: Facts): Finding[] {
  if (security === null) return [];
  const grade = security.cipState === "configured" ? high : medium;
  const findings: Finding[] = [];
  const isOpen = (port: number, protocol: string): boolean =>
    ports.some((entry) => entry.open && entry.port === port && entry.protocol === protocol);
  if (isOpen(44818, "tcp"))
    findings.push(
      grade(
        "plaintext-port-open",
        "Port 44818/tcp takes unprotected messages.",
        "Close it (Set_Port_Admin_State); commissioning does so.",
      ),
    );
  if (isOpen(2222, "udp"))
    findings.push(
      grade("plaintext-io-open", "Port 2222/udp takes unprotected I/O.", "Close it once all I/O runs over DTLS."),
    );
  return findings;
}

function suiteFindings({ security }: Facts, suites: readonly number[]): Finding[] {
  if (security === null) return [];
  const known = suites.map(cipherSuite).filter((suite) => suite !== undefined);
  const findings: Finding[] = [];
  if (suites.length === 0)
    findings.push(medium("no-suite", "No cipher suite is allowed: nothing secure can connect.", "Allow a GCM suite."));
  if (known.some((suite) => !suite.encrypts))
    findings.push(
      high(
        "null-suite-allowed",
        "A suite without encryption is allowed: messages can be read by anyone on the line.",
        "Allow only suites that encrypt.",
      ),
    );
  if (known.some((suite) => suite.keyExchange === "rsa"))
    findings.push(
      medium(
        "rsa-suite-allowed",
        "A suite without forward secrecy (RSA key exchange) is allowed.",
        "Allow ECDHE suites only.",
      ),
    );
  if (known.some((suite) => suite.protection === "cbc"))
    findings.push(low("cbc-suite-allowed", "A CBC suite is allowed.", "Prefer GCM suites where the device has them."));
  if (known.length > 0 && known.every((suite) => suite.auth === "psk"))
    findings.push(
      low(
        "psk-only",
        "Only pre-shared keys are in use: all holders of a key are the same to the device.",
        "Use certificates where the device can.",
      ),
    );
  if (suites.some((id) => cipherSuite(id) === undefined))
    findings.push(
      low("unknown-suite-allowed", "A suite that is not known here is allowed.", "Check it against the IANA registry."),
    );
  return findings;
}

function trustFindings(facts: Facts, suites: readonly number[], context: FindingContext): Finding[] {
  if (facts.security === null) return [];
  const findings: Finding[] = [];
  const usesCertificates = suites.some((id) => cipherSuite(id)?.auth !== "psk");
  const isConfigured = facts.security.ethernetIpState === "configured";
  for (const certificate of facts.deviceCertificates)
    findings.push(...expiry(certificate, "device-certificate", "device certificate", context));
  for (const authority of facts.trustedAuthorities)
    findings.push(...expiry(authority, "authority", "trusted authority", context));
  if (isConfigured && usesCertificates) {
    if (facts.verifyClient === false)
      findings.push(
        high("client-not-verified", "Clients need no certificate: anyone may connect.", "Turn client verification on."),
      );
    if (facts.verifyClient === true && facts.trustedAuthorities.length === 0)
      findings.push(
        high(
          "no-trusted-authority",
          "Clients are verified, but no authority is trusted: nobody can connect.",
          "Commission the device again.",
        ),
      );
    if (facts.deviceCertificates.some(({ selfSigned }) => selfSigned))
      findings.push(
        medium(
          "self-signed-certificate",
          "The device's certificate is self-signed: others cannot tell it from a stranger's.",
          "Commission the device with the plant's authority.",
        ),
      );
    if (facts.checkExpiration === false)
      findings.push(
        low(
          "expiration-not-checked",
          "The device accepts expired certificates.",
          "Turn the check on where the device has a clock.",
        ),
      );
    if (facts.checkSan === false)
      findings.push(
        low(
          "name-not-checked",
          "The device does not compare a peer's address with its certificate.",
          "Turn the check on where addresses are fixed.",
        ),
      );
    if (facts.crl.length === 0)
      findings.push(
        low(
          "no-crl",
          "The device has no revocation list: a revoked certificate still opens it.",
          "Load the authority's list.",
        ),
      );
    const { now } = context;
    if (now !== undefined && facts.crl.some(({ nextUpdate }) => nextUpdate !== null && new Date(nextUpdate) < now))
      findings.push(medium("crl-stale", "The device's revocation list is out of date.", "Load a fresh list."));
  }
  if (facts.dtlsTimeoutS === 0)
    findings.push(
      low("dtls-never-times-out", "DTLS sessions never end by silence.", "Set the DTLS timeout; 12 s is usual."),
    );
  return findings;
}

function expiry(
  certificate: CertificateReport,
  id: string,
  what: string,
  { now, warningDays }: FindingContext,
): Finding[] {
  if (now === undefined) return [];
  const left = (new Date(certificate.notAfter).getTime() - now.getTime()) / dayMs;
  const day = certificate.notAfter.slice(0, 10);
  if (left < 0) return [high(`${id}-expired`, `The ${what} '${certificate.subject}' expired on ${day}.`, "Renew it.")];
  if (left < warningDays)
    return [
      medium(`${id}-expires-soon`, `The ${what} '${certificate.subject}' expires on ${day}.`, "Renew it before then."),
    ];
  return [];
}

function channelFindings({ channel, security }: Facts): Finding[] {
  if (security === null) return [];
  if (channel.protocol === "tcp")
    return [
      low(
        "read-over-plaintext",
        "This was read over an unprotected channel: it could have been changed on the way.",
        "Read it over eips://.",
      ),
    ];
  if (channel.peer?.verified === false)
    return [
      medium(
        "identity-not-verified",
        "Any certificate was accepted for this reading: the device may be another.",
        "Read it with the plant's authority.",
      ),
    ];
  return [];
}

function high(id: string, what: string, fix: string): Finding {
  return { id, severity: "high", what, fix };
}

function medium(id: string, what: string, fix: string): Finding {
  return { id, severity: "medium", what, fix };
}

function low(id: string, what: string, fix: string): Finding {
  return { id, severity: "low", what, fix };
}
