import { expect, test } from "vitest";
import { EncapsulationStatus, Status, encapsulationStatusText, statusText } from "@cipsec/wire";

test.each(Object.entries(Status).filter(([name]) => name !== "objectSpecific"))("%s has words", (_, status) => {
  expect(statusText(status)).toMatch(/^[a-z][\w ,:-]+ \(0x[0-9A-F]{2}\)$/iu);
  expect(statusText(status)).not.toMatch(/reserved|object-specific/u);
});

test.each([
  { status: 0x0c, text: "object state conflict (0x0C)" },
  { status: 0x2f, text: "reserved status (0x2F)" },
  { status: 0xcf, text: "reserved status (0xCF)" },
  { status: 0xd0, text: "object-specific error (0xD0)" },
  { status: 0xff, text: "object-specific error (0xFF)" },
])("general status $status is '$text'", ({ status, text }) => expect(statusText(status)).toBe(text));

test("encapsulation statuses have words", () => {
  const texts = Object.values(EncapsulationStatus).map(encapsulationStatusText);
  expect(new Set(texts).size).toBe(8);
  expect(texts.join()).not.toContain("reserved");
  expect(encapsulationStatusText(0x6a)).toBe("service not allowed on this port (0x006A)");
  expect(encapsulationStatusText(0x77)).toBe("reserved status (0x0077)");
});
