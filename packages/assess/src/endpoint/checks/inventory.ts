import { identify, readIdentity } from "@cipsec/originator";
import type { Check } from "../../check.ts";
import { capability, control, type Observation } from "../../observation.ts";
import type { EndpointSubject } from "../subject.ts";

/** E-7.8: the device says what it is, the same by every way that it can be asked. */
export const inventory: Check<EndpointSubject> = {
  id: "E-7.8",
  version: "1.0",
  title: "The device reports what it is",
  requirements: ["CR 7.8"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 1500,
  async run(subject, recorder) {
    await using session = await subject.open();
    const read = await readIdentity(session);
    const announced = await identify(subject.host, { timeoutMs: 1000, signal: subject.signal });
    const evidence = [await recorder.settings("identity", { read, announced: announced?.identity ?? null })];
    const complete = read.name !== "" && read.serial !== "00000000" && read.revision !== "";
    const observations: Observation[] = [
      control({
        name: "identity object",
        expected: "read",
        observed: `${read.vendorId}/${read.productCode} ${read.name} ${read.revision}, serial ${read.serial}`,
        holds: true,
        evidence,
      }),
      capability({
        name: "identity is complete",
        expected: "vendor, product, revision and serial number",
        observed: complete ? "all there" : "some are empty or zero",
        holds: complete,
        evidence,
      }),
      capability({
        name: "software parts",
        expected: "a list of the software in the device, with versions",
        observed: "the device offers none over the network",
        holds: false,
        otherwise: "partial",
        evidence,
      }),
    ];
    return {
      observations,
      howMet: "The identity object and ListIdentity name vendor, product, revision and serial number.",
      userAction: "Keep the maker's list of software parts (SBOM) with the inventory.",
      deviation: "No software bill of materials can be read from the device.",
    };
  },
};
