import type { Command } from "commander";
import {
  bootstrapEst,
  certificateSubject,
  createCsr,
  estPause,
  makeKeyPair,
  privateKeyToPem,
  toPem,
  untilIssued,
  writeFileAtomic,
  type Certificate,
  type CsrBuilder,
  type EnrolAnswer,
  type Subject,
} from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { addCommand, addNotes, argument, textOption, type Context, type Shell } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import {
  addEstOptions,
  estClientOf,
  estCommon,
  estIdentity,
  namesOption,
  newKey,
  subjectOption,
} from "./est-options.ts";
import { addEstServer } from "./est-serve.ts";

type Options = Readonly<Record<string, unknown>>;

const urlHelp = "HOST, HOST:PORT or https://HOST[:PORT], with /.well-known/est/LABEL where there is one";

/** `est`: enrolment over secure transport, server and client. */
export function addEst(program: Command, shell: Shell): void {
  const est = program.command("est").description("enrolment over secure transport (RFC 7030): server and client");
  addEstServer(est, shell);
  addRead(est, shell);
  addEnroll(est, shell);
  addReenroll(est, shell);
  addKeygen(est, shell);
}

function addRead(est: Command, shell: Shell): void {
  const cacerts = addCommand(est, shell, "cacerts", "fetch a server's authorities", async (context, options, args) => {
    const url = argument(args, 0, "URL");
    const isFirst = options["trustOnFirstUse"] === true;
    const found = isFirst
      ? await bootstrapEst({ url, ...estCommon(context, options) }, undefined)
      : await (await estClientOf(context, options, url)).cacerts();
    if (isFirst) context.output.notice("warning: nothing vouches for these authorities: compare their fingerprints");
    const pem = toPem(found.certificates);
    await write(options, pem);
    const rows = found.certificates.map((one) => ({
      kind: found.anchors.includes(one) ? "anchor" : found.rollover.includes(one) ? "rollover" : "intermediate",
      ...shown(one),
    }));
    context.output.document({ certificates: rows, pem });
    context.output.table(
      ["kind", "subject", "until", "SHA-256"],
      rows.map(({ kind, subject, notAfter, sha256 }) => [kind, subject, notAfter.slice(0, 10), sha256]),
    );
  })
    .argument("<url>", urlHelp)
    .option("--trust-on-first-use", "take whatever is offered; announced")
    .option("--out <file>", "write them here, PEM");
  addEstOptions(cacerts, false);
  addNotes(cacerts, {
    json: "{certificates: [{kind: anchor|intermediate|rollover, subject, serial, notAfter, sha256}], pem}",
    examples: [
      ["cipsec est cacerts est.plant.example --fingerprint 9F…", "the first contact: by a fingerprint got elsewhere"],
    ],
  });
  const attributes = addCommand(
    est,
    shell,
    "csrattrs",
    "what a server wishes to see in requests",
    async (context, options, args) => {
      const wishes = await (await estClientOf(context, options, argument(args, 0, "URL"))).csrattrs();
      context.output.document(wishes ?? null);
      context.output.say(
        wishes === undefined
          ? "No wishes."
          : [
              `attributes: ${wishes.oids.join(", ")}`,
              `link to the TLS session: ${wishes.wantsChallenge ? "yes" : "no"}`,
              `key: ${wishes.keyKind ?? "any"}`,
            ].join("\n"),
      );
    },
  ).argument("<url>", urlHelp);
  addEstOptions(attributes);
  addNotes(attributes, {
    json: "null, or {oids: [], wantsChallenge, keyKind?, san?}",
    examples: [["cipsec est csrattrs est.plant.example", "asks before a request is made"]],
  });
}

function addEnroll(est: Command, shell: Shell): void {
  const enroll = addCommand(est, shell, "enroll", "get a certificate", async (context, options, args) => {
    const client = await estClientOf(context, options, argument(args, 0, "URL"));
    const identity = await estIdentity(options);
    const key = await newKey(required(options, "newKey", "--new-key"));
    const subject = subjectOf(options, identity?.chain[0]);
    return await finish(context, options, () => client.enroll(builder(options, subject, key)));
  })
    .argument("<url>", urlHelp)
    .requiredOption("--new-key <file>", "private key to certify; made and kept here when there is none");
  addRequestOptions(enroll);
  addNotes(enroll, {
    json: '{status: "issued", subject, serial, notAfter, sha256, pem} or {status: "pending", retryAfterMs}, which exits with 1',
    examples: [
      [
        "cipsec est enroll est.plant.example --cert birth.pem --key birth.key --new-key new.key",
        "with a vendor's certificate",
      ],
      [
        "cipsec est enroll est.example --username u --password-file pw --subject CN=hmi --new-key k --wait",
        "with a password, waiting until a person approves it",
      ],
    ],
  });
}

function addReenroll(est: Command, shell: Shell): void {
  const reenroll = addCommand(est, shell, "reenroll", "renew a certificate", async (context, options, args) => {
    const client = await estClientOf(context, options, argument(args, 0, "URL"));
    const identity = await estIdentity(options);
    const [current] = identity?.chain ?? [];
    if (identity === undefined || current === undefined)
      throw new UsageError("usage/argument", "re-enrolment needs the current certificate", {
        fix: "Give --cert and --key.",
      });
    const keyFile = textOption(options, "newKey");
    const key = keyFile === undefined ? identity.key : await newKey(keyFile);
    const san = options["san"] === undefined ? current.facts.san : namesOption(options["san"]);
    const build: CsrBuilder = async ({ challengePassword }) =>
      await createCsr({ subject: certificateSubject(current), san, privateKey: key, ...challenge(challengePassword) });
    return await finish(context, options, () => client.reenroll(build));
  })
    .argument("<url>", urlHelp)
    .option("--new-key <file>", "another key for the new certificate; made and kept here (default: the same key)");
  addRequestOptions(reenroll, false);
  addNotes(reenroll, {
    json: "as for est enroll",
    examples: [
      [
        "cipsec est reenroll est.plant.example --cert dev.pem --key dev.key --out dev.pem",
        "the same key and names, later days",
      ],
    ],
  });
}

function addKeygen(est: Command, shell: Shell): void {
  const keygen = addCommand(
    est,
    shell,
    "serverkeygen",
    "have the server make the key too",
    async (context, options, args) => {
      const client = await estClientOf(context, options, argument(args, 0, "URL"));
      const identity = await estIdentity(options);
      const out = required(options, "keyOut", "--key-out");
      const subject = subjectOf(options, identity?.chain[0]);
      const { privateKey: throwaway } = await makeKeyPair();
      const keyId = identity?.chain[0]?.constraints.subjectKeyId;
      const seals = options["encrypt"] === true;
      if (seals && keyId === undefined)
        throw new UsageError("usage/argument", "--encrypt needs a certificate with a key identifier to encrypt for", {
          fix: "Give --cert and --key.",
        });
      const build: CsrBuilder = async ({ challengePassword }) =>
        await createCsr({
          subject,
          san: namesOption(options["san"]),
          privateKey: throwaway,
          ...challenge(challengePassword),
          ...(seals && keyId !== undefined
            ? { decryptKey: { kind: "asymmetric", id: Buffer.from(keyId, "hex") } }
            : {}),
        });
      return await finish(context, options, async () => {
        const answer = await client.serverkeygen(build, seals ? identity?.key : undefined);
        if (answer.status === "issued") await writeFileAtomic(out, privateKeyToPem(answer.privateKey));
        return answer;
      });
    },
  )
    .argument("<url>", urlHelp)
    .requiredOption("--key-out <file>", "write the key here, mode 0600")
    .option("--encrypt", "have the key encrypted for the certificate of --cert, beside TLS");
  addRequestOptions(keygen);
  addNotes(keygen, {
    json: "as for est enroll; the key goes to the file only",
    examples: [
      [
        "cipsec est serverkeygen est.plant.example --cert b.pem --key b.key --encrypt --key-out k",
        "for a device without a good source of randomness",
      ],
    ],
  });
}

function addRequestOptions(command: Command, withSubject = true): void {
  if (withSubject) command.option("--subject <text>", "like O=Plant,CN=pump 7 (default: that of --cert)");
  command
    .option("--san <name...>", "IP:ADDRESS, DNS:NAME or URI:TEXT")
    .option("--wait", "when a person has to approve it, ask again until it is decided")
    .option("--out <file>", "write the certificate with its chain here");
  addEstOptions(command);
}

function builder(
  options: Options,
  subject: Subject,
  privateKey: Parameters<typeof createCsr>[0]["privateKey"],
): CsrBuilder {
  const san = namesOption(options["san"]);
  return async ({ challengePassword }) =>
    await createCsr({ subject, san, privateKey, ...challenge(challengePassword) });
}

/** Every request is linked to its session: servers that do not know of it ignore it. */
function challenge(challengePassword: string | undefined): { readonly challengePassword?: string } {
  return challengePassword === undefined ? {} : { challengePassword };
}

function subjectOf(options: Options, shownCertificate: Certificate | undefined): Subject {
  const text = textOption(options, "subject");
  if (text !== undefined) return subjectOption(text);
  if (shownCertificate !== undefined) return certificateSubject(shownCertificate);
  throw new UsageError("usage/argument", "the request needs a subject", {
    fix: "Give --subject, or a certificate with --cert.",
  });
}

async function finish(context: Context, options: Options, ask: () => Promise<EnrolAnswer>): Promise<number> {
  const answer =
    options["wait"] === true
      ? await untilIssued(ask, {
          pause: estPause(context.signal),
          random: Math.random,
          onPending: (ms) => context.output.progress(`waits for approval; asks again in ${Math.round(ms / 1000)} s`),
        })
      : await ask();
  if (answer.status === "pending") {
    context.output.document(answer);
    context.output.say(
      "The request waits for a person at the server. Ask again later with the same key, or use --wait.",
    );
    return ExitCode.doesNotHold;
  }
  const pem = toPem(answer.chain);
  await write(options, pem);
  context.output.document({ status: "issued", ...shown(answer.certificate), pem });
  const file = textOption(options, "out");
  context.output.say(
    file === undefined ? pem.trimEnd() : `Issued to ${answer.certificate.facts.subject}. Written to ${file}.`,
  );
  return ExitCode.ok;
}

async function write(options: Options, pem: string): Promise<void> {
  const file = textOption(options, "out");
  if (file !== undefined) await writeFileAtomic(file, pem, { mode: 0o644 });
}

function required(options: Options, name: string, flag: string): string {
  const value = textOption(options, name);
  if (value === undefined) throw new UsageError("usage/argument", `${flag} is missing`, { fix: "See --help." });
  return value;
}

function shown({ facts: { subject, serialHex, notAfter, sha256 } }: Certificate) {
  return { subject, serial: serialHex, notAfter: notAfter.toISOString(), sha256 };
}
