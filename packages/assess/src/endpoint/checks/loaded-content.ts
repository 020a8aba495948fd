import { randomBytes } from "node:crypto";
import { CipSecurity, EtherNetIpSecurity, FileEncoding, FileObject } from "@cipsec/objects";
import { createFile, isPortOpen, readFile, writeFile, type Requester, type Session } from "@cipsec/originator";
import { decode, encode, objectPath, PathList, type Value } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { configure, forbiddenWays, mustRefuseOver, mustRefuseRequest, removeFiles, tryOut } from "../configuration.ts";
import type { EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Names of the files of this check begin so. */
const fileName = "assessment-load";

/** Ports of services that load files into devices, where they are open: FTP, SSH, Telnet, TFTP's kin, web, debuggers. */
const loaders = [21, 22, 23, 69, 80, 443, 2323, 4443, 8000, 8080, 8443, 9229] as const;

/** The first octets of programs: ELF, Windows, and a script. */
const kinds: readonly { readonly name: string; readonly head: readonly number[] }[] = [
  { name: "a program for Linux", head: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] },
  { name: "a program for Windows", head: [0x4d, 0x5a, 0x90, 0x00] },
  { name: "a script", head: [...Buffer.from("#!/bin/sh\nexit 0\n")] },
];

/** B-2.4 and E-3.4: what is loaded into the device over its File objects comes from the administrator, whole, and is no program. */
export const loadedContent: Check<EndpointSubject> = {
  id: "B-2.4",
  version: "1.1",
  title: "What is loaded is checked, and nothing else is",
  requirements: [
    "EDR 2.4",
    "EDR 2.4 RE(1)",
    "SAR 2.4",
    "SAR 2.4 RE(1)",
    "HDR 2.4",
    "HDR 2.4 RE(1)",
    "NDR 2.4",
    "NDR 2.4 RE(1)",
    "CR 3.4",
    "CR 3.4 RE(1)",
  ],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR3.4_1", "TC_CR3.4-RE1_1"],
  needs: ["credentials", "administrator", "disruptive"],
  estimateMs: 4000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    await using session = await subject.open();
    const observations: Observation[] = [];
    const before = await session.object(EtherNetIpSecurity, 1).get("trustedAuthorities");
    await recorder.willChange({ authoritiesHex: Buffer.from(encode(PathList, before)).toString("hex") });
    try {
      observations.push(...(await tryOut(session, async () => await load(session, recorder))));
      observations.push(...(await programs(subject, session, recorder, before)));
    } finally {
      await recorder.restored();
    }
    for (const { name, way } of forbiddenWays)
      observations.push(
        negative({
          name,
          expected: "no file is taken",
          ...(await repeated(
            async (run) =>
              await mustRefuseOver(
                subject,
                recorder,
                `${way[0]}-${run}`,
                way,
                `a file over ${way[0]}`,
                async (over) => {
                  await over.object(CipSecurity, 1).call("beginConfig");
                  await over.object(EtherNetIpSecurity, 1).call("beginConfig");
                  await createFile(over, `${fileName}-${way[0]}`, FileEncoding.pemCrl);
                },
              ),
          )),
        }),
      );
    const others = await otherWays(subject);
    observations.push(
      capability({
        name: "other ways to load something",
        expected: "none is open (web, FTP, SSH, debugger)",
        observed: others.length === 0 ? "none is" : others.map((port) => `${port}/tcp`).join(", "),
        holds: others.length === 0 ? true : undefined,
        ...(others.length === 0
          ? {}
          : { askedOf: "the maker: who may load what over these ports, and how it is checked" }),
      }),
      capability({
        name: "inside the device",
        expected: "software and settings are checked at start and at work, and their origin proven",
        observed: "no exchange shows it",
        holds: undefined,
        askedOf: "the maker: the integrity check of software and settings, and the proof of their origin",
      }),
    );
    return {
      observations,
      howMet:
        "Files are taken from an administrator over the secure channel only, with a checksum, and only as certificates and revocation lists.",
      limits: ["an update of the device's software was not tried"],
    };
  },
  async restore(subject, saved) {
    const hex =
      typeof saved === "object" && saved !== null && "authoritiesHex" in saved ? String(saved.authoritiesHex) : "";
    if (hex !== "") await setBack(subject, decode(PathList, Buffer.from(hex, "hex")));
  },
};

type Paths = Value<typeof PathList>;

/** Inside a configuration session: a file that is whole, and one that is altered on its way. */
async function load(session: Session, recorder: Recorder): Promise<readonly Observation[]> {
  const text = new TextEncoder().encode(`-----BEGIN X509 CRL-----\n${randomBytes(30).toString("base64")}\n`);
  const instance = await createFile(session, fileName, FileEncoding.pemCrl);
  await writeFile(session, instance, text);
  const back = await readFile(session, instance);
  const altered = await repeated(async (run) => {
    let isMade = false;
    const tried = await mustRefuseRequest(
      recorder,
      `altered-${run}`,
      "a file with one bit changed on its way",
      async () => {
        const other = await createFile(session, `${fileName}-altered-${run}`, FileEncoding.pemCrl);
        isMade = true;
        await writeFile(altering(session), other, text);
      },
    );
    return where(isMade, tried);
  });
  await removeFiles(session, (file) => file.startsWith(fileName));
  return [
    control({
      name: "a file of an administrator",
      expected: "taken, and the same when it is read",
      observed: `${back.length} octets read back`,
      holds: Buffer.from(back).equals(text),
    }),
    negative({ name: "a file that was altered on its way", expected: "refused by its checksum", ...altered }),
  ];
}

/** A file that could not even be made was not refused for what is in it. */
function where(isMade: boolean, tried: Try): Try {
  return isMade
    ? tried
    : { ...tried, holds: undefined, observed: `not tried: no file could be made: ${tried.observed}` };
}

/** Somebody who flips a bit of each packet of a file behind the back of its sender. */
function altering(session: Session): Requester {
  return {
    request: async (request, options) => {
      if (request.service !== FileObject.services.downloadTransfer.code) return await session.request(request, options);
      const data = request.data.slice();
      // Number and type of the packet come first.
      data[2] = (data[2] ?? 0) ^ 1;
      return await session.request({ ...request, data }, options);
    },
  };
}

/** Tries to make the device trust a program in place of a certificate, beside those that it trusts. */
async function programs(
  subject: EndpointSubject,
  session: Session,
  recorder: Recorder,
  before: Paths,
): Promise<readonly Observation[]> {
  const observations: Observation[] = [];
  for (const { name, head } of kinds)
    observations.push(
      negative({
        name,
        expected: "refused, by Apply_Config at the latest",
        ...(await repeated(async (run) => {
          let isMade = false;
          const words = `${name.replaceAll(" ", "-")}-${run}`;
          const tried = await mustRefuseRequest(recorder, words, `${name}, as a trusted authority`, async () => {
            await configure(session, async () => {
              // What an earlier one has left would take its place.
              await removeFiles(session, (one) => one.startsWith(fileName));
              const file = await createFile(session, `${fileName}-${run}`, FileEncoding.pemCertificate);
              isMade = true;
              await writeFile(session, file, Uint8Array.from(head));
              const path = objectPath(FileObject.classId, file);
              await session.object(EtherNetIpSecurity, 1).set("trustedAuthorities", [...before, path]);
            });
          });
          if (tried.holds === false) await setBack(subject, before);
          return where(isMade, tried);
        })),
      }),
    );
  return observations;
}

async function setBack(subject: EndpointSubject, before: Paths): Promise<void> {
  await using session = await subject.open();
  await configure(
    session,
    async () => await session.object(EtherNetIpSecurity, 1).set("trustedAuthorities", before),
    async () => await removeFiles(session, (file) => file.startsWith(fileName)),
  );
}

/** Those of the ports that load things into devices, which are open. */
async function otherWays({ host, signal, timeoutMs }: EndpointSubject): Promise<readonly number[]> {
  const states = await Promise.all(
    loaders.map(async (port) => await isPortOpen(host, port, Math.min(timeoutMs, 1000), signal)),
  );
  return loaders.filter((_port, at) => states[at] === true);
}
