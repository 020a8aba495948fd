import type { Check } from "../../check.ts";
import { capability, type Observation } from "../../observation.ts";
import { makeBench } from "../bench.ts";
import type { HostSubject } from "../subject.ts";

/** C-1.4: two units of a product do not answer to the same identity. */
export const identifiers: Check<HostSubject> = {
  id: "C-1.4",
  version: "1.0",
  title: "Units are told apart by identifiers of their own",
  requirements: ["CR 1.4"],
  part: "whole",
  method: "examine",
  needs: ["root", "second-unit"],
  estimateMs: 2000,
  async run(subject, recorder) {
    const { second } = subject;
    const units = second === undefined ? [subject] : [subject, second];
    const read = await Promise.all(
      units.map(async (unit, at) => {
        const bench = makeBench(unit, recorder);
        const machine = await bench.see(`machine-id-${at + 1}`, ["cat", "/etc/machine-id"]);
        const keys = await bench.see(`host-keys-${at + 1}`, [
          "sh",
          "-c",
          'for key in /etc/ssh/ssh_host_*_key.pub; do [ -f "$key" ] && ssh-keygen -lf "$key"; done; true',
        ]);
        const prints: readonly string[] = keys.stdout.match(/SHA256:\S+/g) ?? [];
        return { machine: machine.stdout.trim(), prints, evidence: [...machine.evidence, ...keys.evidence] };
      }),
    );
    const [one, other] = read;
    const shared = one?.prints.filter((print) => other?.prints.includes(print) === true) ?? [];
    const evidence = read.flatMap((unit) => unit.evidence);
    const isOne =
      second !== undefined &&
      second.facts.facts["host"] === subject.facts.facts["host"] &&
      second.isLocal === subject.isLocal;
    const observations: Observation[] = [
      capability({
        name: "machine ids",
        expected: "set, and different",
        observed: read.map(({ machine }) => machine || "none").join(" and "),
        holds: isOne
          ? undefined
          : read.every(({ machine }) => /^[0-9a-f]{32}$/.test(machine)) && one?.machine !== other?.machine,
        evidence,
      }),
      capability({
        name: "SSH host keys that both units have",
        expected: "none",
        observed: shared.length === 0 ? "none" : shared.join(", "),
        holds: isOne ? undefined : shared.length === 0,
        evidence,
      }),
    ];
    return { observations, howMet: "Each unit makes its own machine id and host keys." };
  },
};
