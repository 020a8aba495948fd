import { parseArgs } from "node:util";
import { codec } from "./codec.ts";
import { connections } from "./connections.ts";
import { dtls } from "./dtls.ts";
import { explicit } from "./explicit.ts";
import { handshakes } from "./handshakes.ts";
import { io } from "./io.ts";
import { tableText, type Benchmark, type Row } from "./measure.ts";
import { memory } from "./memory.ts";
import { pki } from "./pki.ts";
import { tags } from "./tags.ts";

const benchmarks: readonly Benchmark[] = [explicit, connections, tags, io, handshakes, memory, codec, dtls, pki];

const usage = `npm run bench -- [NAME…] [--full] [--cases CASE,…] [--json]

Every figure stands beside a reference that was measured in the same run. Names:
${benchmarks.map(({ name, about }) => `  ${name.padEnd(12)}${about}`).join("\n")}

  --full       io: 60 s each instead of 5 s; dtls: four times as long
  --cases      io: such as 2x1,10x128, milliseconds and connections; dtls: such as records,packets; pki: issue,verify,est,crl`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      cases: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const unknown = positionals.find((name) => !benchmarks.some((benchmark) => benchmark.name === name));
  if (values.help || unknown !== undefined) {
    console.log(unknown === undefined ? usage : `no benchmark is named ${unknown}\n\n${usage}`);
    return values.help ? 0 : 2;
  }
  const chosen = benchmarks.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const document: Record<string, readonly Row[]> = {};
  for (const benchmark of chosen) {
    const { name, about } = benchmark;
    const rows = await benchmark.run({
      isFull: values.full,
      ...(values.cases === undefined ? {} : { cases: values.cases.split(",") }),
    });
    document[name] = rows;
    if (!values.json) console.log(`${name}: ${about}\n${tableText(rows)}\n`);
  }
  if (values.json) console.log(JSON.stringify({ benchmarks: document }, null, 2));
  return 0;
}

process.exitCode = await main();
