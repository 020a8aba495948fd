import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { makeReport, storePath, type Assessment } from "@cipsec/assess";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assessedAt } from "./kit/assessed.ts";
import { startPage, type Page } from "./kit/browser.ts";
import { ourLines, tshark } from "./kit/decoders.ts";
import { makePlant, type Plant } from "./kit/plant.ts";
import { must, withPeers } from "./kit/programs.ts";

const address = "127.38.40.1";

withPeers("an assessment's evidence and reports", ["chromium", "pdftotext", "pdfinfo", "tshark"], () => {
  let plant: Plant;
  let assessment: Assessment;
  let page: Page;
  let runFolder: string;

  beforeAll(async () => {
    plant = await makePlant("assessment");
    await plant.commission(await plant.device({ address }), {});
    ({ assessment, runFolder } = await assessedAt(
      plant,
      { target: { host: address }, security: { certificate: plant.tool, anchors: plant.anchors } },
      (id) => ["E-7.8", "B-7.6", "B-1.2", "B-4.1"].includes(id),
    ));
    page = await startPage();
  });

  afterAll(async () => {
    await page?.[Symbol.asyncDispose]();
    await plant[Symbol.asyncDispose]();
  });

  test("tshark opens captures by themselves, and reads the requests of our own sessions", async () => {
    const wanted = [
      // RegisterSession, then SendRRData with a service: what stands inside TLS.
      ["B-1.2/tls-trusted.pcapng", /0x0065[^]*0x006f \S+/],
      // Who has no certificate gets an alert in clear, and not a word of EtherNet/IP.
      ["B-1.2/tls-none-1.pcapng", /^\d+$/],
    ] as const;
    const fields = ["enip.command", "cip.sc", "tls.alert_message.desc"].flatMap((field) => ["-e", field]);
    const evidence = assessment.records.flatMap((record) => record.evidence);
    await Promise.all(
      wanted.map(async ([name, said]) => {
        const { sha256 = "" } = evidence.find((one) => one.name === name) ?? {};
        const capture = { file: join(runFolder, "evidence", storePath(sha256)) };
        const lines = await tshark(capture, ["-T", "fields", "-e", "_ws.malformed", ...fields]);
        expect([name, lines.filter((line) => line.startsWith("["))]).toEqual([name, []]);
        const told = lines.map((line) => line.trim().replaceAll("\t", " ")).filter(Boolean);
        expect(told.join("\n")).toMatch(said);
      }),
    );
  });

  test("every capture opens in our own decoder, and none has a frame that it cannot read", async () => {
    const captures = assessment.records.flatMap(({ evidence }) => evidence.filter(({ kind }) => kind === "capture"));
    expect(captures.length).toBeGreaterThan(10);
    for (const { name, sha256 } of captures) {
      const lines = await ourLines({ file: join(runFolder, "evidence", storePath(sha256)) });
      expect([name, lines.filter(({ error }) => error !== null)]).toEqual([name, []]);
    }
  });

  test.each([1280, 400])("the page is as wide as a screen of %i px, and complains about nothing", async (width) => {
    const file = join(plant.folder, "report.html");
    await writeFile(file, await makeReport(assessment, "html"));
    await page.open(pathToFileURL(file).href, width);
    expect(page.complaints).toEqual([]);
    expect(await page.value("[innerWidth, document.documentElement.scrollWidth]")).toEqual([width, width]);
    // Nothing inside is cut off either, and the charts' words can be read.
    const overflowing = `[...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > ${width} + 0.5).map((one) => one.tagName)`;
    expect(await page.value(overflowing)).toEqual([]);
    const smallest = `Math.min(...[...document.querySelectorAll("svg text")].map((one) => one.getBoundingClientRect().height))`;
    expect(await page.value(smallest)).toBeGreaterThan(11);
    expect(await page.value(`document.querySelectorAll("article").length`)).toBeGreaterThan(6);
  });

  test("JUnit's XML is well formed, and its numbers add up", async () => {
    const junit = String(await makeReport(assessment, "junit"));
    await page.value(`globalThis.junit = new DOMParser().parseFromString(${JSON.stringify(junit)}, "text/xml")`);
    const count = async (selector: string): Promise<unknown> =>
      await page.value(`junit.querySelectorAll(${JSON.stringify(selector)}).length`);
    const sum = async (name: string): Promise<unknown> =>
      await page.value(
        `[...junit.querySelectorAll("testsuite")].reduce((all, one) => all + Number(one.getAttribute("${name}")), 0)`,
      );
    expect(await count("parsererror")).toBe(0);
    expect(await page.value("junit.documentElement.tagName")).toBe("testsuites");
    expect(await count("testsuites > testsuite > testcase[name][classname]")).toBe(61);
    for (const [name, selector] of [
      ["tests", "testcase"],
      ["failures", "testcase > failure[message]"],
      ["skipped", "testcase > skipped[message]"],
    ] as const)
      expect([name, await sum(name)]).toEqual([name, await count(selector)]);
  });

  test("the PDF is A4, has the report's words on it, and page numbers", async () => {
    const file = join(plant.folder, "report.pdf");
    await writeFile(file, await makeReport(assessment, "pdf"));
    expect((await readFile(file)).subarray(0, 5).toString()).toBe("%PDF-");
    const facts = await must("pdfinfo", [file]);
    expect(facts).toMatch(/Page size: .*A4/);
    const pages = Number(/^Pages: +(\d+)$/m.exec(facts)?.[1]);
    // Four checks: some pages of verdicts, two or three of observations, two of evidence.
    expect(pages).toBeGreaterThan(8);
    expect(pages).toBeLessThan(20);
    const words = await must("pdftotext", ["-layout", file, "-"]);
    expect(words).toMatch(/Level reached: FR 1: 0/);
    expect(words).toContain(`${pages} of ${pages}`);
    for (const { evidence } of assessment.records) for (const { sha256 } of evidence) expect(words).toContain(sha256);
  });
});
