import { listFiles, readFile, readPosture, type Session } from "@cipsec/originator";
import { isStackError } from "@cipsec/wire";
import type { Check } from "../../check.ts";
import { sha256Of } from "../../evidence/store.ts";
import { capability, control } from "../../observation.ts";
import { settingsHash, type EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** Files that are asked for: certificates, lists, the EDS. A device has a few dozen at most. */
const maxFiles = 256;

const maxFileOctets = 1024 * 1024;

/** E-7.3: what a device is set to can be taken out of it while it works, whole and without its secrets. */
export const backup: Check<EndpointSubject> = {
  id: "E-7.3",
  version: "1.0",
  title: "Settings can be taken out for a backup",
  requirements: ["CR 7.3", "CR 7.3 RE(1)"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 3000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    await using session = await subject.open();
    const settings = await readPosture(session);
    const files = subject.posture?.security === null ? [] : await readFiles(session);
    const again = await readPosture(session);
    const kept = {
      settings,
      files: files.map(({ name, bytes }) => ({ name, sha256: sha256Of(bytes), octets: bytes.length })),
    };
    const evidence = [await recorder.settings("export", kept)];
    const secrets = files.filter(({ bytes }) => /PRIVATE KEY/.test(Buffer.from(bytes).toString("latin1")));
    const unread = settings.unread.map(({ what }) => what);
    return {
      observations: [
        control({
          name: "an export",
          expected: "settings and files",
          observed: `${files.length} files, settings with SHA-256 ${settingsHash(settings)}`,
          holds: true,
          evidence,
        }),
        capability({
          name: "it is whole",
          expected: "no setting is withheld",
          observed: unread.length === 0 ? "all were read" : `not ${unread.join(", ")}`,
          holds: unread.length === 0,
          otherwise: "partial",
          evidence,
        }),
        capability({
          name: "it is the same twice",
          expected: "two exports are equal, and the device works meanwhile",
          observed: settingsHash(settings) === settingsHash(again) ? "equal" : "they differ",
          holds: settingsHash(settings) === settingsHash(again),
          requirements: ["CR 7.3"],
          evidence,
        }),
        capability({
          name: "secrets in it",
          expected: "no private key",
          observed: secrets.length === 0 ? "none" : secrets.map(({ name }) => name).join(", "),
          holds: secrets.length === 0,
          evidence,
        }),
        capability({
          name: "a backup of the device's own",
          expected: "one that the device makes, and takes back",
          observed: "CIP Security has none: settings are read one by one, and set again by commissioning",
          holds: false,
          otherwise: "partial",
          requirements: ["CR 7.3"],
          evidence,
        }),
        capability({
          name: "the device checks a backup before it takes it back",
          expected: "an altered one is refused, and nothing changes",
          observed: "the device takes no backup back",
          holds: false,
          otherwise: "partial",
          requirements: ["CR 7.3 RE(1)"],
          evidence,
        }),
      ],
      howMet: "All settings can be read by an administrator while the device works.",
      limits: ["the application's own data is not known here", "a second unit was not set up from the export"],
      userAction:
        "Keep the plan the device was commissioned by, with its hash: it sets up a new unit, with keys of its own.",
      deviation: "The device has no backup with a check of its integrity.",
    };
  },
};

async function readFiles(session: Session): Promise<readonly { readonly name: string; readonly bytes: Uint8Array }[]> {
  const files: { name: string; bytes: Uint8Array }[] = [];
  for (const { instance, instanceName } of (await listFiles(session)).slice(0, maxFiles)) {
    try {
      files.push({ name: instanceName, bytes: await readFile(session, instance, { maxOctets: maxFileOctets }) });
    } catch (error) {
      // An empty instance, or one that is for writing only, is no part of a backup.
      if (!isStackError(error) || !error.code.startsWith("cip/")) throw error;
    }
  }
  return files;
}
