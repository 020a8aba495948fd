import { afterAll, beforeAll, expect, test } from "vitest";
import type { Listener, TlsPolicy } from "../src/index.ts";
import { listen } from "../src/index.ts";
import { echo, plant, policy, run, utf8 } from "./support.ts";
import type { Identity, Plant } from "./support.ts";

const address = "127.23.4.1";
let here: Plant;
let device: Identity;
let tool: Identity;

beforeAll(async () => {
  here = await plant("Peers");
  device = await here.issue("device", { ip: address });
  tool = await here.issue("tool");
});

afterAll(async () => await here[Symbol.asyncDispose]());

async function serve(tls: TlsPolicy): Promise<Listener> {
  return await listen({ protocol: "tls", address, port: 0, accept: echo, tls: () => tls });
}

function openssl(port: number, ...args: string[]): ReturnType<typeof run> {
  return run("openssl", ["s_client", "-connect", `${address}:${port}`, "-tls1_2", ...args]);
}

function gnutls(port: number, priority: string, ...args: string[]): ReturnType<typeof run> {
  const priorities = `NONE:+VERS-TLS1.2:+COMP-NULL:+SIGN-ALL:+GROUP-ALL:+CTYPE-ALL:${priority}`;
  return run("gnutls-cli", ["--insecure", "--priority", priorities, "-p", String(port), ...args, address]);
}

test("openssl s_client: each allowed suite connects, others get an alert; renegotiation is refused", async () => {
  await using listener = await serve(policy(here, device, { suites: [0xc02b, 0xc023] }));
  const ours = ["-cert", tool.certFile, "-key", tool.keyFile];
  for (const suite of ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"]) {
    const { text } = await openssl(listener.port, "-cipher", suite, ...ours);
    expect(text).toContain(`Cipher is ${suite}`);
    expect(text).toContain("hello");
    expect(text).toMatch(/Extended master secret: yes/);
  }
  for (const suite of ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"]) {
    const { code, text } = await openssl(listener.port, "-cipher", suite, ...ours);
    expect(code).toBe(1);
    expect(text).toContain("SSL alert number 40");
  }
  const bare = await openssl(listener.port);
  expect(bare.text).toContain("SSL alert number 40");
  const again = await run(
    "openssl",
    ["s_client", "-connect", `${address}:${listener.port}`, "-tls1_2", ...ours],
    "R\n",
  );
  expect(again.text).toContain("no renegotiation");
});

test("openssl s_client: pre-shared key right, wrong and unknown", async () => {
  const key = { identity: utf8("line1"), key: Uint8Array.of(1, 2, 3, 4), usage: 2 };
  await using listener = await serve(policy(here, undefined, { suites: [0xc037], psks: [key] }));
  const suite = ["-cipher", "ECDHE-PSK-AES128-CBC-SHA256"];
  const right = await openssl(listener.port, ...suite, "-psk_identity", "line1", "-psk", "01020304");
  expect(right.text).toContain("hello");
  const wrong = await openssl(listener.port, ...suite, "-psk_identity", "line1", "-psk", "01020305");
  expect(wrong.text).toMatch(/SSL alert number (20|51)/);
  const unknown = await openssl(listener.port, ...suite, "-psk_identity", "line2", "-psk", "01020304");
  expect(unknown.text).toContain("SSL alert number 115");
});

test("gnutls-cli: an allowed suite connects with its certificate, another gets an alert, and so does no certificate", async () => {
  await using listener = await serve(policy(here, device, { suites: [0xc02b] }));
  const ours = ["--x509certfile", tool.certFile, "--x509keyfile", tool.keyFile];
  const good = await gnutls(listener.port, "+ECDHE-ECDSA:+AES-128-GCM:+AEAD", ...ours);
  expect(good.text).toContain("Handshake was completed");
  expect(good.text).toContain("hello");
  const other = await gnutls(listener.port, "+ECDHE-ECDSA:+AES-256-GCM:+AEAD", ...ours);
  expect(other.text).toContain("Handshake failed");
  const bare = await gnutls(listener.port, "+ECDHE-ECDSA:+AES-128-GCM:+AEAD");
  expect(bare.text).toContain("Handshake failed");
});
