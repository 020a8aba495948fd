import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import type { KeyObject } from "node:crypto";
import type { Command } from "commander";
import {
  bootstrapEst,
  estClient,
  makeKeyPair,
  parseCertificates,
  parseCrls,
  readKeyFile,
  writeKeyFile,
  type AlternativeNamesInput,
  type Certificate,
  type EstClient,
  type Password,
  type Subject,
} from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { textOption, type Context } from "../command.ts";
import { readIdentity, readInput, type CallerIdentity } from "../data-folder.ts";

type Options = Readonly<Record<string, unknown>>;

/** Options of every command that asks an EST server. */
export function addEstOptions(command: Command, withIdentity = true): Command {
  command
    .option("--ca <file>", "authorities to trust the server by, PEM (default: those of the data folder)")
    .option("--fingerprint <sha256>", "take the server's authorities if one of them has this fingerprint")
    .option("--crl <file>", "revocation lists, PEM or DER")
    .option("--label <label>", "label of the authority at the server")
    .option("--connect <address>", "connect to this address in place of what the URL's name resolves to");
  if (!withIdentity) return command;
  return command
    .option("--cert <file>", "your birth or current certificate chain, PEM, leaf first")
    .option("--key <file>", "its private key, PEM")
    .option("--username <name>", "name at the server")
    .option("--password-file <file>", "file with the password in its first line");
}

/** Whom to trust at an EST server: the named authorities, those of a fingerprint, or the data folder's. */
export async function estAnchors(context: Context, options: Options, url: string): Promise<readonly Certificate[]> {
  const caFile = textOption(options, "ca");
  const fingerprint = textOption(options, "fingerprint");
  if (caFile !== undefined && fingerprint !== undefined)
    throw new UsageError("usage/argument", "--ca and --fingerprint exclude each other", { fix: "Give one of them." });
  if (caFile !== undefined) return parseCertificates(await readInput(caFile));
  if (fingerprint === undefined) return await context.data.anchors();
  return (await bootstrapEst({ url, ...estCommon(context, options) }, fingerprint)).certificates;
}

/** A client as the options say. */
export async function estClientOf(context: Context, options: Options, url: string): Promise<EstClient> {
  const crlFile = textOption(options, "crl");
  const certificate = await estIdentity(options);
  const password = await passwordOf(options);
  return estClient({
    url,
    ...estCommon(context, options),
    trust: {
      explicit: await estAnchors(context, options, url),
      ...(crlFile === undefined ? {} : { crls: parseCrls(await readInput(crlFile)) }),
    },
    identity: {
      ...(certificate === undefined ? {} : { certificate }),
      ...(password === undefined ? {} : { password }),
    },
  });
}

/** Certificate and key of `--cert` and `--key`. */
export async function estIdentity(options: Options): Promise<CallerIdentity | undefined> {
  const cert = textOption(options, "cert");
  const key = textOption(options, "key");
  if ((cert === undefined) !== (key === undefined))
    throw new UsageError("usage/argument", "--cert and --key go together", { fix: "Give both, or neither." });
  return cert === undefined || key === undefined ? undefined : await readIdentity(cert, key);
}

/** The key to certify: that of the file, or a new one that is kept there. */
export async function newKey(file: string): Promise<KeyObject> {
  if (existsSync(file)) return await readKeyFile(file);
  const { privateKey } = await makeKeyPair();
  await writeKeyFile(file, privateKey);
  return privateKey;
}

const subjectNames: Readonly<Record<string, keyof Subject>> = {
  cn: "commonName",
  o: "organization",
  ou: "organizationalUnit",
  l: "locality",
  st: "state",
  c: "country",
  emailaddress: "emailAddress",
  serialnumber: "serialNumber",
};

/** A subject as people write it: `O=Plant,CN=pump 7,serialNumber=00C0FFEE`. */
export function subjectOption(text: string): Subject {
  const parts = text.split(/[,/](?=\s*[A-Za-z]+\s*=)/).filter((part) => part.trim() !== "");
  return Object.fromEntries(
    parts.map((part) => {
      const [, name = "", value = ""] = /^\s*([A-Za-z]+)\s*=\s*(.*?)\s*$/s.exec(part) ?? [];
      const known = subjectNames[name.toLowerCase()];
      if (known === undefined || value === "")
        throw new UsageError("usage/argument", `--subject: '${part.trim()}' is not a part of a subject`, {
          fix: "Write it like O=Plant,CN=pump 7,serialNumber=00C0FFEE; parts are CN, O, OU, L, ST, C, emailAddress, serialNumber.",
        });
      return [known, value];
    }),
  );
}

/** Alternative names as people write them: `IP:192.0.2.7`, `DNS:pump.example`, `URI:urn:x`. */
export function namesOption(value: unknown): AlternativeNamesInput {
  const names: Record<"ip" | "dns" | "uri", string[]> = { ip: [], dns: [], uri: [] };
  for (const text of Array.isArray(value) ? value.map(String) : []) {
    const [, kind, name] = /^(IP|DNS|URI):(.+)$/i.exec(text) ?? [];
    const list = kind?.toLowerCase();
    if (name === undefined || (list !== "ip" && list !== "dns" && list !== "uri"))
      throw new UsageError("usage/argument", `--san: '${text}' is not a name`, {
        fix: "Write IP:192.0.2.7, DNS:pump.example or URI:urn:example.",
      });
    names[list].push(name);
  }
  return names;
}

/** The first line of a file that holds a password. */
export async function readPassword(file: string): Promise<string> {
  const [line = ""] = Buffer.from(await readInput(file))
    .toString("utf8")
    .split(/\r?\n/);
  if (line === "") throw new UsageError("usage/file", `${file}: there is no password in its first line`);
  return line;
}

/** Name and password of `--username` and `--password-file`. */
export async function passwordOf(options: Options): Promise<Password | undefined> {
  const username = textOption(options, "username");
  const file = textOption(options, "passwordFile");
  if ((username === undefined) !== (file === undefined))
    throw new UsageError("usage/argument", "--username and --password-file go together", { fix: "Give both." });
  return username === undefined || file === undefined ? undefined : { username, password: await readPassword(file) };
}

/** Clock, randomness and limits of every client here. */
export function estCommon(context: Context, options: Options) {
  const label = textOption(options, "label");
  const address = textOption(options, "connect");
  return {
    now: () => new Date(),
    randomBytes: (count: number) => randomBytes(count),
    timeoutMs: context.timeoutMs,
    signal: context.signal,
    ...(label === undefined ? {} : { label }),
    ...(address === undefined ? {} : { address }),
  };
}
