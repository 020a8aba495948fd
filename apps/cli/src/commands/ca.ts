import { isIP } from "node:net";
import type { Command } from "commander";
import {
  createCsr,
  isCmpUrl,
  makeKeyPair,
  parseCertificates,
  parseCsr,
  readEstUrl,
  revocationReasons,
  writeFileAtomic,
  type CertificateAuthority,
  type Profile,
  type RevocationReason,
} from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { addCommand, addNotes, argument, textOption, wholeNumber, type Context, type Shell } from "../command.ts";
import { readInput } from "../data-folder.ts";
import { upstreamClientOf } from "./cmp-options.ts";
import { addCrl } from "./ca-crl.ts";
import { addForecast, warnOfClock } from "./ca-forecast.ts";
import { addRollover } from "./ca-rollover.ts";
import { addSet, crlPlaceWords, crlUrlHelp } from "./ca-set.ts";
import { addEstOptions, estAnchors, estIdentity } from "./est-options.ts";

const profiles: readonly Profile[] = ["device", "tool", "user", "vendor-device"];

/** `ca`: the plant's certificate authority. */
export function addCa(program: Command, shell: Shell): void {
  const ca = program.command("ca").description("the plant's certificate authority");
  const init = addCommand(
    ca,
    shell,
    "init",
    "make root, issuing authority and this tool's certificate",
    async (context, options) => {
      const name = textOption(options, "name") ?? "Plant";
      const url = textOption(options, "upstream");
      const crlUrl = textOption(options, "crlUrl");
      if (crlUrl !== undefined && (url !== undefined || options["offline"] === true))
        throw new UsageError("usage/argument", "--crl-url is for an authority that is made here and now", {
          fix: "Ask the authority above; after --offline and 'cipsec ca import': cipsec ca set --crl-url URL.",
        });
      if (options["offline"] === true) return await offline(context, options, name);
      const made =
        url === undefined ? await context.data.makeCa(name, crlUrl) : await upstream(context, options, name, url);
      context.output.document({
        root: shown(made.root.facts),
        issuing: shown(made.issuing.facts),
        folder: made.folder,
        ...(crlUrl === undefined ? {} : { crlUrl: made.crlBase }),
      });
      context.output.say(
        `The authority "${made.name}" is made. Keep ${made.folder} safe: who has it can let anybody in.`,
      );
      if (crlUrl !== undefined) context.output.say(crlPlaceWords(made));
    },
  )
    .option("--name <name>", "name in the authorities' subjects", "Plant")
    .option(
      "--upstream <url>",
      "use the authority behind this EST or CMP (cmp+http…) server in place of one of one's own",
    )
    .option("--crl-url <url>", crlUrlHelp)
    .option("--offline", "make an issuing authority whose certificate comes from another one by file")
    .option("--out <file>", "with --offline: write the request here");
  addEstOptions(init);
  addNotes(init, {
    json: "{root: {subject, serial, notAfter, sha256}, issuing: {…}, folder}; with --crl-url also crlUrl; with --offline {pem} of the request",
    examples: [
      ["cipsec ca init --name 'Bottling Hall 3'", "makes the authority in the data folder; once for a plant"],
      [
        "cipsec ca init --name 'Bottling Hall 3' --crl-url http://pki.plant.example",
        "and its certificates say where revocation lists stand",
      ],
      [
        "cipsec ca init --upstream est.corp.example --ca corp.pem --cert ra.pem --key ra.key",
        "the corporate authority issues; this is its registration authority",
      ],
      [
        "cipsec ca init --upstream cmp+http://pki.example/pkix/ --ca corp.pem --cert ra.pem --key ra.key",
        "the same by CMP, which the program 'openssl' speaks; what is issued can be revoked from here",
      ],
      ["cipsec ca init --offline --out plant.csr", "the corporate root signs this request; then: cipsec ca import"],
    ],
  });
  const imported = addCommand(
    ca,
    shell,
    "import",
    "take in the certificate that another authority issued for 'ca init --offline'",
    async (context, _options, args) => {
      const authority = await context.data.importCa(parseCertificates(await readInput(argument(args, 0, "FILE"))));
      context.output.document({
        root: shown(authority.root.facts),
        issuing: shown(authority.issuing.facts),
        folder: authority.folder,
      });
      context.output.say(`The authority "${authority.name}" can issue now.`);
    },
  ).argument("<file>", "the issuing authority's certificate and its root's, PEM, DER or PKCS#7");
  addNotes(imported, {
    json: "as for ca init",
    examples: [["cipsec ca import plant-chain.pem", "once the corporate root has signed plant.csr"]],
  });
  const issue = addCommand(ca, shell, "issue", "issue a certificate for a request", async (context, options, args) => {
    const authority = await context.data.ca();
    const profile = profiles.find((known) => known === options["profile"]);
    if (profile === undefined)
      throw new UsageError("usage/argument", `--profile: '${String(options["profile"])}' is not known`, {
        fix: `Use one of ${profiles.join(", ")}.`,
      });
    const csr = parseCsr(await readInput(argument(args, 0, "CSR")));
    await warnOfClock(context, authority);
    const days = options["days"];
    const issued = await authority.issue({
      profile,
      csr,
      ...(typeof days === "number" ? { days } : {}),
      ...(options["registrar"] === true ? { registrar: true } : {}),
    });
    await write(context, options, issued.chainPem, {
      serial: issued.certificate.facts.serialHex,
      pem: issued.chainPem,
    });
  })
    .argument("<csr>", "certificate request, PEM or DER")
    .option("--profile <profile>", `one of ${profiles.join(", ")}`, "device")
    .option("--days <n>", "days that it is valid", (text) => wholeNumber(text, 1, 36_500))
    .option("--registrar", "profile tool: may ask an EST server for certificates of others")
    .option("--out <file>", "write it here instead of to standard output");
  addNotes(issue, {
    json: "{serial, pem}",
    examples: [
      ["cipsec ca issue drive7.csr --out drive7.pem", "a device's certificate, with the chain above it"],
      ["cipsec ca issue laptop.csr --profile tool --days 90", "for an engineering tool"],
    ],
  });
  const revoke = addCommand(ca, shell, "revoke", "revoke a certificate", async (context, options, args) => {
    const authority = await context.data.ca();
    const reason = textOption(options, "reason") ?? "unspecified";
    if (!isReason(reason))
      throw new UsageError("usage/argument", `--reason: '${reason}' is not known`, {
        fix: `Use one of ${Object.keys(revocationReasons).join(", ")}.`,
      });
    const row = await authority.revoke(argument(args, 0, "SERIAL"), reason);
    context.output.document(row);
    context.output.say(
      `${row.serial} is revoked. Devices learn of it with the next revocation list: cipsec ca crl --deliver TARGET.`,
    );
  })
    .argument("<serial>", "serial number, hexadecimal, as 'cipsec ca list' shows it")
    .option("--reason <reason>", `one of ${Object.keys(revocationReasons).join(", ")}`, "unspecified");
  addNotes(revoke, {
    json: "{serial, subject, profile, notBefore, notAfter, status, revokedAt, reason, …}",
    examples: [
      ["cipsec ca revoke 2F01A9 --reason keyCompromise", "then give devices the new list: cipsec ca crl --deliver"],
    ],
  });
  addSet(ca, shell);
  addCrl(ca, shell);
  addRollover(ca, shell);
  addForecast(ca, shell);
  const list = addCommand(ca, shell, "list", "every certificate that was issued", async (context) => {
    const rows = await (await context.data.ca()).list();
    context.output.document(rows);
    context.output.table(
      ["serial", "subject", "profile", "until", "status"],
      rows.map((row) => [row.serial, row.subject, row.profile, row.notAfter.slice(0, 10), row.status]),
    );
  });
  addNotes(list, {
    json: "[{serial, subject, profile, notBefore, notAfter, status, …}]",
    examples: [["cipsec ca list", "what was issued, and what is revoked"]],
  });
  const exported = addCommand(
    ca,
    shell,
    "export",
    "the certificates that peers have to trust",
    async (context, options) => {
      const authority = await context.data.ca();
      const pem = String(authority.export({ what: options["chain"] === true ? "chain" : "anchors", as: "pem" }));
      await write(context, options, pem, { pem });
    },
  )
    .option("--chain", "the chain that goes with an issued certificate instead")
    .option("--out <file>", "write it here instead of to standard output");
  addNotes(exported, {
    json: "{pem}",
    examples: [["cipsec ca export --out plant-ca.pem", "for --ca on another machine"]],
  });
}

/** Begins an authority below a root that is reached by files only. */
async function offline(context: Context, options: Readonly<Record<string, unknown>>, name: string): Promise<void> {
  const { pem } = await context.data.requestCa(name);
  await write(context, options, pem, { pem });
  context.output.notice("Have this request signed as an authority's (CA true), then: cipsec ca import FILE");
}

/** Gets the tool's certificate from the authority above, and keeps how it is reached. */
async function upstream(
  context: Context,
  options: Readonly<Record<string, unknown>>,
  name: string,
  url: string,
): Promise<CertificateAuthority> {
  // Before anything is asked for: a second authority would be refused only after the first certificate came.
  if (context.data.hasCa())
    throw new UsageError("usage/state", `there is an authority in ${context.data.path} already`, {
      fix: "Use it, or choose another folder with --data.",
    });
  const client = await upstreamClientOf(context, options, url);
  const authorities = await estAnchors(context, options, url);
  const { privateKey } = await makeKeyPair();
  const subject = { organization: name, commonName: "cipsec tool" };
  const answer = await client.enroll(async ({ challengePassword }) =>
    createCsr({ subject, privateKey, ...(challengePassword === undefined ? {} : { challengePassword }) }),
  );
  if (answer.status === "pending")
    throw new UsageError("usage/state", `the tool's certificate has to be approved at ${url}`, {
      fix: "Have the server's operator let this tool in without a question: as its registrar, or by a rule; then run this again.",
    });
  const tool = { chain: answer.chain, key: privateKey };
  const registrar = (await estIdentity(options)) ?? tool;
  return await context.data.makeUpstream({ name, url: labelled(url, options), authorities, registrar }, tool);
}

function labelled(url: string, options: Readonly<Record<string, unknown>>): string {
  const label = textOption(options, "label");
  if (label === undefined || isCmpUrl(url)) return url;
  const { host, port } = readEstUrl(url);
  return `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}/.well-known/est/${label}`;
}

async function write(
  context: Context,
  options: Readonly<Record<string, unknown>>,
  text: string,
  document: unknown,
): Promise<void> {
  const file = textOption(options, "out");
  if (file !== undefined) await writeFileAtomic(file, text, { mode: 0o644 });
  context.output.document(document);
  context.output.say(file === undefined ? text.trimEnd() : `Written to ${file}.`);
}

function shown({
  subject,
  serialHex,
  notAfter,
  sha256,
}: {
  subject: string;
  serialHex: string;
  notAfter: Date;
  sha256: string;
}): object {
  return { subject, serial: serialHex, notAfter: notAfter.toISOString(), sha256 };
}

function isReason(text: string): text is RevocationReason {
  return Object.hasOwn(revocationReasons, text);
}
