import { USINT } from "@cipsec/wire";
import { expect, test } from "vitest";
import { EtherNetIpSecurity, Qos, allClasses, classReference, objectClass, referencePages } from "../src/index.ts";

test("a page each class, and one that lists them", () => {
  const pages = referencePages();
  expect(pages.length).toBe(allClasses.length + 1);
  expect(new Set(pages.map(({ file }) => file)).size).toBe(pages.length);
  const [list] = pages;
  expect(list?.file).toBe("docs/objects/README.md");
  for (const { file } of pages.slice(1)) expect(list?.text).toContain(`(${file.replace("docs/objects/", "")})`);
});

test("a class's page says what its declaration says", () => {
  const text = classReference(EtherNetIpSecurity);
  expect(text).toContain("# EtherNet/IP Security (0x5E)\n");
  expect(text).toMatch(/^\| 15 \| `dtlsTimeout` \| UINT, s \| get\/set \| yes \| always \| `12` \|/m);
  expect(text).toMatch(/^\| 17 \| `checkSubjectAlternativeName` \| BOOL \| get\/set \| yes \| optional \|/m);
  expect(text).toMatch(/^\| 0x4D \| `applyConfig` \| instance \| \[Apply_Config request\] \|/m);
  expect(text).toContain("- `pskUsagesSupported`: 0x01 `server`, 0x02 `client`, 0x04 `any`");
  expect(text).toContain("15 `dtlsTimeout`, 17 `checkSubjectAlternativeName`\n");
});

test("a class without Get_Attributes_All and services says so; bars do not end a cell", () => {
  const page = classReference(Qos);
  expect(page).toContain("- Class: 1, 2, 3, 4, 5, 6, 7\n- Instance: not offered\n");
  expect(page).toContain("None of its own.");
  const attributes = { mode: { id: 1, type: USINT, access: "get", doc: "On | off." } } as const;
  const bare = objectClass({ name: "Bare", classId: 0x65, revision: 1, source: "vendor", attributes, services: {} });
  expect(classReference(bare)).toContain("- Class: not offered\n- Instance: not offered\n");
  expect(classReference(bare)).toContain("| On \\| off. |");
  expect(classReference(bare)).not.toContain("## Values");
});
