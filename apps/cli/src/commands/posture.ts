import type { Command } from "commander";
import { readPosture, type Posture } from "@cipsec/originator";
import { addCommand, argument, type Shell } from "../command.ts";
import { addCredentials, openSession } from "../credentials.ts";
import type { Output } from "../output.ts";

/** `posture`: all security settings of one device, and what is unsafe about them. */
export function addPosture(program: Command, shell: Shell): void {
  addCredentials(
    addCommand(
      program,
      shell,
      "posture <target>",
      "all security settings of one device; unsafe ones are flagged",
      async (context, options, args) => {
        await using session = await openSession(context, options, argument(args, 0, "TARGET"));
        const posture = await readPosture(session);
        context.output.document(posture);
        showPosture(context.output, posture);
      },
    ),
    true,
  );
}

/** A posture as tables. */
export function showPosture(output: Output, posture: Posture): void {
  const { identity, security, channel } = posture;
  output.say(
    `${posture.address}  ${identity.name} ${identity.revision}, serial ${identity.serial}; read ${channelWords(channel)}`,
  );
  if (security !== null) output.table(["setting", "value"], settings(posture));
  if (posture.findings.length > 0) {
    output.say("");
    output.table(
      ["severity", "finding", "what to do"],
      posture.findings.map(({ severity, what, fix }) => [severity, what, fix]),
    );
  }
  for (const { what, why } of posture.unread) output.notice(`not read: ${what}: ${why}`);
}

function settings(posture: Posture): readonly (readonly string[])[] {
  const { security, suites, deviceCertificate } = posture;
  return [
    ["CIP Security", security?.cipState ?? "none"],
    ["EtherNet/IP Security", security?.ethernetIpState ?? "none"],
    ["profiles", security?.profiles.join(", ") ?? ""],
    ["suites allowed", suites?.allowed.join(", ") ?? ""],
    ["clients must prove themselves", yesNo(posture.verifyClient)],
    ["expiry checked", yesNo(posture.checkExpiration)],
    ["names checked", yesNo(posture.checkSan)],
    [
      "device certificate",
      deviceCertificate === null
        ? "none"
        : `${deviceCertificate.subject}, until ${deviceCertificate.notAfter.slice(0, 10)}`,
    ],
    ["issued by", deviceCertificate === null ? "" : deviceCertificate.selfSigned ? "itself" : deviceCertificate.issuer],
    ["trusted authorities", posture.trustedAuthorities.map(({ subject }) => subject).join("; ") || "none"],
    [
      "trusted identities",
      posture.trustedIdentities.map(({ subject }) => subject).join("; ") || "any that an authority vouches for",
    ],
    [
      "revocation lists",
      posture.crl.map(({ issuer, revoked }) => `${issuer}: ${revoked} revoked`).join("; ") || "none",
    ],
    ["pre-shared keys", posture.preSharedKeys.map((psk) => psk.identity).join(", ") || "none"],
    [
      "ports open",
      posture.ports
        .filter((port) => port.open)
        .map((port) => `${port.port}/${port.protocol}`)
        .join(" "),
    ],
    ["inactivity timeout", posture.inactivityTimeoutS === null ? "" : `${posture.inactivityTimeoutS} s`],
  ];
}

function channelWords({ protocol, version, suite, peer }: Posture["channel"]): string {
  if (version === null) return `over plain ${protocol.toUpperCase()}`;
  return `over ${version}, ${suite ?? "?"}${peer?.verified === true ? "" : " (certificate not verified)"}`;
}

function yesNo(value: boolean | null): string {
  if (value === null) return "";
  return value ? "yes" : "no";
}
