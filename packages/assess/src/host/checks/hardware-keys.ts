import type { Check } from "../../check.ts";
import { capability } from "../../observation.ts";
import { makeBench } from "../bench.ts";
import type { HostSubject } from "../subject.ts";

/** C-1.9R1: private keys lie in hardware, not in files. */
export const hardwareKeys: Check<HostSubject> = {
  id: "C-1.9R1",
  version: "1.0",
  title: "Private keys are kept in hardware",
  requirements: ["CR 1.9 RE(1)"],
  part: "whole",
  method: "examine",
  needs: ["root"],
  estimateMs: 10_000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const tpm = await bench.see("tpm", ["find", "/dev", "-maxdepth", "1", "-name", "tpmrm*"]);
    const handles = (await subject.has("tpm2_getcap"))
      ? await bench.see("handles", ["tpm2_getcap", "handles-persistent"])
      : undefined;
    const copies = await bench.see(
      "key-copies",
      ["grep", "-rlsI", "PRIVATE KEY-----", "/etc", "/home", "/root/.ssh", "/var/lib", "/opt"],
      { timeoutMs: 120_000 },
    );
    const files = copies.stdout
      .split("\n")
      .filter((line) => line !== "" && !/\/(?:tests?|examples?|doc|site-packages|node_modules)\//.test(line));
    const hasTpm = tpm.stdout.trim() !== "";
    return {
      observations: [
        capability({
          name: "a security chip",
          expected: "a TPM or a secure element",
          observed: hasTpm ? tpm.stdout.trim() : "no TPM device",
          holds: hasTpm,
          evidence: tpm.evidence,
        }),
        capability({
          name: "keys in the chip",
          expected: "persistent handles",
          observed: handles === undefined ? "tpm2-tools are not installed" : handles.stdout.trim() || "none",
          holds: handles === undefined ? (hasTpm ? undefined : false) : /0x81/i.test(handles.stdout),
          evidence: handles?.evidence ?? [],
        }),
        capability({
          name: "private keys in files",
          expected: "none",
          observed: files.length === 0 ? "none" : `${files.length}, such as ${files.slice(0, 3).join(", ")}`,
          holds: files.length === 0,
          evidence: copies.evidence,
        }),
      ],
      howMet: "Private keys are made and used in the TPM; no file holds one.",
      userAction: "Show where critical keys are kept where SL 3 is the goal.",
    };
  },
};
