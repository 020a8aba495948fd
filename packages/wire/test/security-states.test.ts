import { expect, test } from "vitest";
import {
  CertificateState,
  CertificateStatus,
  CipSecurityState,
  EtherNetIpSecurityState,
  FileState,
  SecurityProfile,
  certificateStateText,
  certificateStatusText,
  cipSecurityStateText,
  etherNetIpSecurityStateText,
  fileStateText,
  securityProfileTexts,
} from "@cipsec/wire";

test.each([
  { name: "CIP Security", table: CipSecurityState, text: cipSecurityStateText, last: "incomplete configuration" },
  {
    name: "EtherNet/IP Security",
    table: EtherNetIpSecurityState,
    text: etherNetIpSecurityStateText,
    last: "pull model disabled",
  },
  { name: "Certificate Management", table: CertificateState, text: certificateStateText, last: "invalid" },
  { name: "certificate", table: CertificateStatus, text: certificateStatusText, last: "invalid" },
  { name: "File", table: FileState, text: fileStateText, last: "storing" },
])("every state of $name has words, and the next number has none", ({ table, text, last }) => {
  const states = Object.values(table);
  expect(states).toEqual(states.map((_, i) => i));
  expect(new Set(states.map((state) => text(state))).size).toBe(states.length);
  expect(text(states.length - 1)).toBe(last);
  expect(text(states.length)).toBe(`reserved state ${states.length}`);
});

test("names of states and their words agree", () => {
  for (const [name, state] of Object.entries(FileState)) {
    const words = name
      .replaceAll(/[A-Z]/gu, (letter) => ` ${letter.toLowerCase()}`)
      .replace("nonexistent", "non-existent");
    expect(fileStateText(state)).toBe(words);
  }
});

test("profile bits are told lowest first, unknown ones by number", () => {
  expect(securityProfileTexts(0)).toEqual([]);
  expect(securityProfileTexts(0x8022)).toEqual([
    "EtherNet/IP Confidentiality",
    "EtherNet/IP Pull Model",
    "profile bit 15",
  ]);
  expect(securityProfileTexts(0x00c0)).toEqual(["profile bit 6", "profile bit 7"]);
  expect(securityProfileTexts(0xffff)).toHaveLength(16);
  expect(Object.values(SecurityProfile)).toEqual([1, 2, 4, 8, 16, 32]);
});
