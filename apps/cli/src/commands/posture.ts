import type { Command } from "commander";
import { judgeVendorIdentity, readPosture, type Posture } from "@cipsec/originator";
import { UsageError } from "@cipsec/wire";
import { addCommand, addNotes, argument, targetHelp, textOption, type Shell } from "../command.ts";
import { addCredentials, openSession } from "../credentials.ts";
import { sayVendor, vendorOf } from "./commission-options.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Output } from "../output.ts";

const severities = ["low", "medium", "high"] as const;

/** `posture`: all security settings of one device, and what is unsafe about them. */
export function addPosture(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "posture",
    "all security settings of one device; unsafe ones are flagged",
    async (context, options, args) => {
      const floor = floorOf(textOption(options, "failOn"));
      await using session = await openSession(context, options, argument(args, 0, "TARGET"));
      const posture = await readPosture(session);
      const { vendorAnchors: anchors } = await vendorOf(options);
      const vendor =
        anchors === undefined
          ? undefined
          : (await judgeVendorIdentity(session, { anchors, identity: posture.identity })).identity;
      context.output.document(vendor === undefined ? posture : { ...posture, vendorIdentity: vendor });
      showPosture(context.output, posture);
      if (vendor !== undefined) sayVendor(context, vendor);
      const isFlagged = posture.findings.some(({ severity }) => severities.indexOf(severity) >= floor);
      return isFlagged || vendor?.verified === false ? ExitCode.doesNotHold : ExitCode.ok;
    },
  )
    .argument("<target>", targetHelp)
    .option(
      "--fail-on <severity>",
      "exit with 1 when there is a finding of this severity or above: high, medium or low",
    )
    .option(
      "--vendor <file>",
      "roots of device makers, PEM: exit with 1 unless one of them vouches for this very device, serial number included",
    );
  addCredentials(command, true);
  addNotes(command, {
    json:
      "{address, identity, security: {profiles, cipState, ethernetIpState, securePortsOnly} | null, " +
      "suites: {available, allowed} | null, verifyClient, sendChain, checkExpiration, checkSan, " +
      "trustedAuthorities: [{subject, notAfter, sha256}], trustedIdentities, " +
      "deviceCertificate: {subject, issuer, notAfter, sha256, selfSigned, keyType, crlUrls} | null, deviceCertificates: [{…}], " +
      "crl: [{file, issuer, thisUpdate, nextUpdate, revoked}], preSharedKeys: [{identity}], " +
      "ports, dtlsTimeoutS, inactivityTimeoutS, channel: {protocol, version, suite, peer}, " +
      'findings: [{id, severity: "high" | "medium" | "low", what, fix}], unread: [{what, why}]}; with --vendor also ' +
      "vendorIdentity: {verified, subject, serialNumber, vendor, reason}",
    examples: [
      ["cipsec posture 192.0.2.7", "reads a device of the plant, by the tool certificate of the data folder"],
      ["cipsec posture 192.0.2.7 --insecure-accept-any", "reads a device that is not commissioned yet"],
      ["cipsec posture 192.0.2.7 --fail-on high", "for scripts: exits with 1 when something is gravely unsafe"],
    ],
  });
}

/** Least severity that counts, as a place in {@link severities}; beyond them all when none was named. */
function floorOf(text: string | undefined): number {
  if (text === undefined) return severities.length;
  const floor = severities.findIndex((severity) => severity === text);
  if (floor >= 0) return floor;
  throw new UsageError("usage/argument", `--fail-on: '${text}' is no severity`, { fix: "Use high, medium or low." });
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

function certificateRows({
  subject,
  issuer,
  notAfter,
  selfSigned,
  keyType,
  crlUrls,
}: Posture["deviceCertificates"][number]) {
  return [
    ["device certificate", `${subject}, ${keyType}, until ${notAfter.slice(0, 10)}`],
    ["issued by", selfSigned ? "itself" : issuer],
    ...(crlUrls.length === 0 ? [] : [["its revocation list stands at", crlUrls.join(" ")]]),
  ];
}

function settings(posture: Posture): readonly (readonly string[])[] {
  const { security, suites, deviceCertificates } = posture;
  return [
    ["CIP Security", security?.cipState ?? "none"],
    ["EtherNet/IP Security", security?.ethernetIpState ?? "none"],
    ["profiles", security?.profiles.join(", ") ?? ""],
    ["suites allowed", suites?.allowed.join(", ") ?? ""],
    ["clients must prove themselves", yesNo(posture.verifyClient)],
    ["expiry checked", yesNo(posture.checkExpiration)],
    ["names checked", yesNo(posture.checkSan)],
    ...(deviceCertificates.length === 0
      ? [["device certificate", "none"]]
      : deviceCertificates.flatMap(certificateRows)),
    ["trusted authorities", posture.trustedAuthorities.map(({ subject }) => subject).join("; ") || "none"],
    [
      "trusted identities",
      posture.trustedIdentities.map(({ subject }) => subject).join("; ") || "any that an authority vouches for",
    ],
    [
      "revocation lists",
      posture.crl.map(({ file, issuer, revoked }) => `${issuer}: ${revoked} revoked (file ${file})`).join("; ") ||
        "none",
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
