import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeFileAtomic } from "@cipsec/pki";
import type { Assessment } from "@cipsec/assess";
import { runDemo, runPullDemo, type DemoDevice } from "@cipsec/lab";
import type { Posture } from "@cipsec/originator";
import type { Command } from "commander";
import { addCommand, addNotes, textOption, wholeNumber, type Shell } from "../command.ts";
import { keyLogTo } from "../credentials.ts";
import { demoAssessing, writeDemoAssessment } from "../demo-assessment.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Output } from "../output.ts";
import { openPorts, showDevices } from "./discover.ts";

/** `demo`: the main job on a virtual plant. */
export function addDemo(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "demo",
    "the main job on a virtual plant: discover, posture, commission, prove, assess",
    async (context, options) => {
      const out = resolve(textOption(options, "out") ?? "out");
      const count = options["devices"];
      const { output } = context;
      const keyLog = textOption(options, "keylog");
      const isPull = options["pull"] === true;
      const assessments: Assessment[] = [];
      const run = isPull ? runPullDemo : runDemo;
      const result = await run({
        devices: typeof count === "number" ? count : 5,
        folder: context.data.file("demo"),
        signal: context.signal,
        ...(keyLog === undefined ? {} : { keyLog: keyLogTo(keyLog) }),
        ...(isPull || options["assess"] === false ? {} : { assessing: demoAssessing(context) }),
        telling: {
          chapter: (text) => {
            output.say(`\n== ${text}`);
            if (output.json) output.notice(text);
          },
          note: (text) => output.say(text),
          progress: (text) => output.progress(text),
          discovered: (devices) => showDevices(output, devices),
          postures: (when, postures) => showPostures(output, when, postures),
          assessed: (assessment) => void assessments.push(assessment),
        },
      });
      await mkdir(out, { recursive: true });
      await writeFileAtomic(join(out, "plant.json"), `${JSON.stringify(result, undefined, 2)}\n`, { mode: 0o644 });
      output.document(result);
      showProofs(output, result.devices);
      for (const assessment of assessments) await writeDemoAssessment(context, assessment, out);
      output.say(
        `\n${result.holds ? "Everything holds." : "NOT everything holds: see above."} ${(result.elapsedMs / 1000).toFixed(1)} s. Written to ${join(out, "plant.json")}.`,
      );
      return result.holds ? ExitCode.ok : ExitCode.doesNotHold;
    },
  )
    .option(
      "--devices <n>",
      "devices of the plant; of every five, three modern, one of the CBC/PSK generation, one without CIP Security",
      (text) => wholeNumber(text, 1, 100),
      5,
    )
    .option(
      "--pull",
      "devices that configure themselves, with no tool: they find an EST server by DNS-SD; of every five, one waits for approval, two are counterfeits",
    )
    .option("--no-assess", "leave out the assessment at the end")
    .option("--out <dir>", "folder for the results", "out")
    .option("--keylog <file>", "append the secrets of all TLS and DTLS sessions, for Wireshark");
  addNotes(command, {
    json:
      "as plant.json: {devices: [{address, before: posture, after: posture, proofs: [{name, expected, observed, holds}]}], holds, elapsedMs, " +
      "assessment?: {address, run, level, levelByFr, counts}}",
    examples: [
      ["cipsec demo", "takes five virtual devices from factory default to proven, in half a minute"],
      [
        "cipsec demo --keylog keys.log",
        "beside a capture of lo, Wireshark opens every session of it, I/O over DTLS included",
      ],
      ["cipsec demo --pull", "devices from their box enrol by themselves; counterfeits are refused"],
    ],
  });
}

function showPostures(output: Output, when: "before" | "after", postures: readonly Posture[]): void {
  output.table(
    ["address", `state ${when}`, "certificate from", "suites", "clients", "open ports", "high risks"],
    postures.map((posture) => [
      posture.address,
      stateOf(posture),
      posture.deviceCertificate?.issuer.replace(/^.*CN=/, "") ?? "-",
      posture.suites === null ? "-" : String(posture.suites.allowed.length),
      posture.verifyClient === null
        ? "-"
        : posture.verifyClient
          ? "by certificate"
          : posture.preSharedKeys.length > 0
            ? "by key"
            : "unproven",
      openPorts(portsOf(posture)),
      String(posture.findings.filter(({ severity }) => severity === "high").length),
    ]),
  );
}

/** A device that configures itself tells so by the state of its EtherNet/IP Security Object. */
function stateOf({ security }: Posture): string {
  if (security === null) return "none";
  return security.ethernetIpState.startsWith("pull-") ? security.ethernetIpState : security.cipState;
}

function portsOf({ ports, security }: Posture): Parameters<typeof openPorts>[0] {
  const open = (port: number, protocol: string): boolean =>
    ports.some((entry) => entry.open && entry.port === port && entry.protocol === protocol);
  const legacy = security === null;
  return {
    eip: legacy || open(44_818, "tcp"),
    eipUdp: legacy || open(44_818, "udp"),
    io: open(2222, "udp"),
    eips: open(2221, "tcp"),
    eipd: open(2221, "udp"),
  };
}

/** Longest observation that a table shows; `plant.json` has it all. */
const shownLength = 90;

function showProofs(output: Output, devices: readonly DemoDevice[]): void {
  const rows = devices.flatMap(({ address, proofs }) =>
    proofs.map(({ name, observed, holds }) => [
      address,
      name,
      holds ? "holds" : "FAILS",
      observed.length > shownLength ? `${observed.slice(0, shownLength - 1)}…` : observed,
    ]),
  );
  output.say("");
  output.table(["address", "proof", "verdict", "observed"], rows);
}
