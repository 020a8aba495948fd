import { existsSync } from "node:fs";
import { isIP } from "node:net";
import type { Command } from "commander";
import {
  announceEst,
  crlDocuments,
  approveHeld,
  denyHeld,
  hasUpstream,
  listenDocuments,
  listenEst,
  localAuthority,
  makeEstService,
  makePasswordRecord,
  openRegister,
  openUpstreamCa,
  parseCertificates,
  parseCrls,
  readPasswordRecords,
  upstreamAuthority,
  writeFileAtomic,
  type Certificate,
  type CertificateAuthority,
  type EstAuthority,
  type EstEvent,
  type EnrolPolicy,
  type HeldRequest,
  type PasswordRecord,
  type Register,
} from "@cipsec/pki";
import { vouchByIdentity } from "@cipsec/originator";
import { UsageError } from "@cipsec/wire";
import { randomBytes } from "node:crypto";
import {
  addCommand,
  addNotes,
  argument,
  interrupted,
  textOption,
  wholeNumber,
  type Context,
  type Shell,
} from "../command.ts";
import { pause, readInput, type CallerIdentity } from "../data-folder.ts";
import { readPassword } from "./est-options.ts";
import { keepUp, leafOf, openRules, serverIdentity } from "./est-upkeep.ts";

type Options = Readonly<Record<string, unknown>>;

/** Without rules: birth certificates wait for a person, who sees what they ask for. */
const cautious: EnrolPolicy = {
  rules: [{ name: "by hand", callers: ["birth"], action: "hold", takeNames: "request" }],
};

const realm = "cipsec est";

/** `est serve` and what its operator does beside it. */
export function addEstServer(est: Command, shell: Shell): void {
  addServe(est, shell);
  addDecisions(est, shell);
  const user = addCommand(
    est,
    shell,
    "user",
    "give a name a password at the server",
    async (context, options, args) => {
      const username = argument(args, 0, "NAME");
      const password = await readPassword(textOption(options, "passwordFile") ?? "");
      const algorithms = options["md5"] === true ? (["SHA-256", "MD5"] as const) : (["SHA-256"] as const);
      const record = await makePasswordRecord({ username, password }, realm, algorithms);
      const others = (await readUsers(context)).filter(({ name }) => name !== username);
      await context.data.ready();
      await openEstRegister(context);
      await writeFileAtomic(
        context.data.file("est", "users.json"),
        `${JSON.stringify([...others, record], undefined, 2)}\n`,
      );
      context.output.document({ name: username, users: others.length + 1 });
      context.output.say(`${username} has a password. It counts from the next request on.`);
    },
  )
    .argument("<name>", "name, without a colon")
    .requiredOption("--password-file <file>", "file with the password in its first line")
    .option("--md5", "also for clients whose Digest knows only MD5");
  addNotes(user, {
    json: "{name, users}",
    examples: [["cipsec est user line2 --password-file pw", "for devices that have no certificate to show"]],
  });
}

function addServe(est: Command, shell: Shell): void {
  const serve = addCommand(
    est,
    shell,
    "serve",
    "run an EST server for the plant's authority, until interrupted",
    async (context, options) => {
      const { host, port } = listenOption(textOption(options, "listen") ?? "127.0.0.1:8443");
      const ca = await context.data.ca();
      const authority = await authorityOf(context, ca, options);
      const register = await openEstRegister(context);
      const look = async (): Promise<CallerIdentity> => {
        await ca.refresh();
        return await serverIdentity(context, options, ca, host, false);
      };
      const identity = { current: await serverIdentity(context, options, ca, host), look };
      const rules = await openRules(context, textOption(options, "rules"), cautious);
      const documents = crlDocuments(ca, { now: () => new Date() });
      const crlAt = textOption(options, "crlListen");
      const vendorAnchors = await certificatesOf(options["vendor"]);
      const service = makeEstService({
        authority,
        labels: await labelsOf(context, options),
        register,
        policy: () => rules.current(),
        now: () => new Date(),
        retryAfterS: typeof options["retryAfter"] === "number" ? options["retryAfter"] : 60,
        linking: options["requireLinking"] === true ? "required" : "checked",
        callers: {
          vendorAnchors,
          crls: await crlsOf(options["crl"]),
          realm,
          users: async (name) => (await readUsers(context)).find((record) => record.name === name),
          schemes: options["md5"] === true ? ["MD5", "SHA-256", "basic"] : ["SHA-256", "basic"],
          passwordAlone: options["withoutCertificate"] === true,
          certificateAlone: options["twoProofs"] !== true,
        },
        ...(options["checkIdentity"] === true ? { vouch: vouchByIdentity(vendorAnchors) } : {}),
        ...(options["serverKeygen"] === true
          ? {
              keyDelivery: {
                get signer() {
                  return { certificate: leafOf(identity.current), key: identity.current.key };
                },
                plain: options["encryptedKeysOnly"] !== true,
              },
            }
          : {}),
        ...(options["publishCrl"] === true ? { documents } : {}),
        onEvent: (event) => tellEvent(context, event),
      });
      const announce = textOption(options, "announce");
      if (announce !== undefined && !isAnnounceable(host))
        throw new UsageError("usage/argument", `${host} cannot be announced`, {
          fix: "Listen at the IPv4 address that devices reach this machine by: --listen ADDRESS:PORT.",
        });
      const listener = await listenEst(service, { host, port, ...identity.current });
      const plain =
        crlAt === undefined
          ? undefined
          : await listenDocuments(documents, { ...listenOption(crlAt, "--crl-listen"), limits: service.limits });
      const announced =
        announce === undefined
          ? undefined
          : announceEst({ name: ca.name, host: announce, address: host, port: listener.port, interface: host });
      const url = `https://${isIP(host) === 6 ? `[${host}]` : host}:${listener.port}`;
      context.output.line({ listening: true, url, sha256: ca.root.facts.sha256 });
      context.output.say(`EST is served at ${url}. The root's fingerprint is ${ca.root.facts.sha256}. Ctrl-C ends it.`);
      if (plain !== undefined)
        context.output.notice(
          `Revocation lists are handed out at http://${crlAt ?? ""}/crl/issuing-${ca.inService.tiers.issuing}.crl.`,
        );
      const endUpkeep = keepUp(context, rules, identity, listener);
      try {
        await interrupted(context);
      } finally {
        endUpkeep();
        await plain?.close();
        await announced?.close();
        await listener.close();
      }
    },
  )
    .option("--listen <address>", "ADDRESS:PORT", "127.0.0.1:8443")
    .option(
      "--rules <file>",
      "who gets what, JSON; read again when it changes (default: birth certificates wait for a person)",
    )
    .option("--vendor <file...>", "roots of vendors whose birth certificates may enrol, PEM")
    .option(
      "--check-identity",
      "look at a device that shows its birth certificate, where it calls from: it has to be what that says (CIP devices only)",
    )
    .option("--crl <file...>", "revocation lists for client certificates")
    .option("--publish-crl", "hand out the plant's revocation lists too: /crl/issuing-1.crl and so on")
    .option("--crl-listen <address>", "hand them out by plain HTTP as well: ADDRESS:PORT")
    .option("--label <label=dir...>", "another authority under a label: LABEL=DATA-FOLDER")
    .option("--rollover <file>", "more certificates for cacerts, of a change of root, PEM")
    .option("--name <name...>", "names or addresses in the server's certificate, beside that of --listen")
    .option("--announce <host>", "announce the server by multicast DNS (_est._tcp) as this host, which ends in .local")
    .option("--cert <file>", "the server's certificate chain (default: one of the plant's authority)")
    .option("--key <file>", "its private key")
    .option("--without-certificate", "a name and its password will do, without a certificate")
    .option("--two-proofs", "a certificate will do only with a name and its password")
    .option("--require-linking", "refuse requests that are not linked to their TLS session")
    .option("--md5", "offer Digest with MD5 too, for old clients")
    .option("--server-keygen", "make keys for devices that ask for it")
    .option("--encrypted-keys-only", "send such keys only encrypted for the device's certificate")
    .option(
      "--retry-after <s>",
      "seconds after which a waiting device asks again",
      (text) => wholeNumber(text, 1, 86_400),
      60,
    );
  addNotes(serve, {
    json: "{listening: true, url, sha256} first, then a line for each enrolment: {at, address, operation, outcome: issued|pending|refused|failed, identity?, serial?, id?, reason?}",
    examples: [
      [
        "cipsec est serve --listen 192.0.2.10:443 --vendor acme.pem",
        "devices of this vendor may ask; a person approves each",
      ],
      ["cipsec est serve --listen 192.0.2.10:443 --vendor acme.pem --rules rules.json", "rules decide"],
      [
        "cipsec est serve --listen 192.0.2.10:443 --vendor acme.pem --announce est.local",
        "devices with the pull model find it by themselves",
      ],
    ],
  });
}

function addDecisions(est: Command, shell: Shell): void {
  const pending = addCommand(
    est,
    shell,
    "pending",
    "requests that wait for a person, and those decided",
    async (context) => {
      const all = await (await openEstRegister(context)).list();
      context.output.document(all.map(row));
      context.output.table(
        ["id", "state", "device", "asks for", "asked"],
        all.map((one) => [one.id, one.state, one.identity, one.subject.commonName ?? "", one.askedAt]),
      );
    },
  );
  addNotes(pending, {
    json: "[{id, state, identity, label, rule, profile, subject, san, csrPem, address, askedAt, decidedAt?, reason?}]",
    examples: [["cipsec est pending", "what is there to decide"]],
  });
  const approve = addCommand(est, shell, "approve", "let a waiting request through", async (context, options, args) => {
    const file = textOption(options, "certificate");
    const certificates = file === undefined ? undefined : parseCertificates(await readInput(file));
    const decided = await approveHeld(await openEstRegister(context), argument(args, 0, "ID"), {
      now: new Date(),
      ...(certificates === undefined ? {} : { certificates }),
    });
    context.output.document(row(decided));
    context.output.say(`${decided.identity} gets its certificate when it asks again.`);
  })
    .argument("<id>", "id, as 'cipsec est pending' shows it")
    .option("--certificate <file>", "hand over this certificate, which another authority issued for the request");
  addNotes(approve, {
    json: "as a row of est pending",
    examples: [["cipsec est approve 3f2a90c41be07d55", "after a look at what it asks for"]],
  });
  const deny = addCommand(est, shell, "deny", "refuse a waiting request", async (context, options, args) => {
    const reason = textOption(options, "reason");
    const decided = await denyHeld(await openEstRegister(context), argument(args, 0, "ID"), new Date(), reason);
    context.output.document(row(decided));
    context.output.say(`${decided.identity} is refused.`);
  })
    .argument("<id>", "id, as 'cipsec est pending' shows it")
    .option("--reason <text>", "told to the device");
  addNotes(deny, {
    json: "as a row of est pending",
    examples: [["cipsec est deny 3f2a90c41be07d55 --reason 'not ours'", "the device is told the reason"]],
  });
}

async function openEstRegister(context: Context): Promise<Register> {
  return await openRegister(context.data.file("est"), { now: () => new Date(), pause });
}

/** The plant's own authority, or the one above it. */
async function authorityOf(context: Context, ca: CertificateAuthority, options: Options): Promise<EstAuthority> {
  if (!hasUpstream(ca.folder)) return localAuthority(ca, { rollover: await certificatesOf(options["rollover"]) });
  const { timeoutMs } = context;
  return upstreamAuthority(await openUpstreamCa(ca.folder, { now: () => new Date(), pause, randomBytes, timeoutMs }));
}

async function labelsOf(context: Context, options: Options): Promise<Readonly<Record<string, EstAuthority>>> {
  const given = Array.isArray(options["label"]) ? options["label"].map(String) : [];
  const entries = given.map(async (text): Promise<[string, EstAuthority]> => {
    const [label = "", folder] = text.split("=", 2);
    if (folder === undefined || !/^[A-Za-z0-9._~-]{1,64}$/.test(label))
      throw new UsageError("usage/argument", `--label: '${text}' is not LABEL=DATA-FOLDER`, {
        fix: "Try --label line2=./line2",
      });
    return [label, await authorityOf(context, await context.data.otherCa(`${folder}/ca`), {})];
  });
  return Object.fromEntries(await Promise.all(entries));
}

function isAnnounceable(host: string): boolean {
  return isIP(host) === 4 && host !== "0.0.0.0";
}

async function readUsers(context: Context): Promise<readonly PasswordRecord[]> {
  const file = context.data.file("est", "users.json");
  return existsSync(file) ? readPasswordRecords(Buffer.from(await readInput(file)).toString("utf8")) : [];
}

async function certificatesOf(files: unknown): Promise<readonly Certificate[]> {
  const names = Array.isArray(files) ? files.map(String) : typeof files === "string" ? [files] : [];
  return (await Promise.all(names.map(async (name) => parseCertificates(await readInput(name))))).flat();
}

async function crlsOf(files: unknown) {
  const names = Array.isArray(files) ? files.map(String) : [];
  return (await Promise.all(names.map(async (name) => parseCrls(await readInput(name))))).flat();
}

function listenOption(text: string, option = "--listen"): { readonly host: string; readonly port: number } {
  const [, v6, name, port] = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(port) > 65_535)
    throw new UsageError("usage/argument", `${option}: '${text}' is not ADDRESS:PORT`, {
      fix: `Try ${option} 127.0.0.1:8443`,
    });
  return { host, port: Number(port) };
}

function tellEvent(context: Context, event: EstEvent): void {
  const { error, at, ...rest } = event;
  context.output.line({ at: at.toISOString(), ...rest });
  const who = [event.identity ?? event.address, event.reason].filter((text) => text !== undefined).join(": ");
  context.output.say(`${event.operation} ${event.outcome}: ${who}`);
  if (error instanceof Error) context.output.notice(`error: ${error.message}`);
}

function row({ chainPem: _, ...rest }: HeldRequest): object {
  return rest;
}
