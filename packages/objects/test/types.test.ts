import type { Segment } from "@cipsec/wire";
import { expect, expectTypeOf, test } from "vitest";
import {
  type CertificateManagement,
  type CipSecurity,
  type AttributeValue,
  type ClassAttributeValue,
  type ClassService,
  EtherNetIpSecurity,
  type InstanceService,
  type ObjectClass,
  type ServiceRequest,
  type ServiceResponse,
  type SettableName,
} from "../src/index.ts";

/** As an originator's `set` is typed. */
function settable<C extends ObjectClass, K extends SettableName<C>>(
  _declaration: C,
  name: K,
  value: AttributeValue<C, K>,
): readonly unknown[] {
  return [name, value];
}

test("only what is get/set can be set, and only to a value of its type", () => {
  expect(settable(EtherNetIpSecurity, "dtlsTimeout", 12)).toEqual(["dtlsTimeout", 12]);
  expect(settable(EtherNetIpSecurity, "allowedCipherSuites", [0xc02b])).toHaveLength(2);
  // @ts-expect-error `state` is get only
  settable(EtherNetIpSecurity, "state", 1);
  // @ts-expect-error a number, not text
  settable(EtherNetIpSecurity, "dtlsTimeout", "12");
  // @ts-expect-error there is no such attribute
  settable(EtherNetIpSecurity, "timeout", 12);
});

test("types of values, requests and replies follow from the declaration", () => {
  expectTypeOf<AttributeValue<typeof EtherNetIpSecurity, "checkExpiration">>().toEqualTypeOf<boolean>();
  expectTypeOf<AttributeValue<typeof EtherNetIpSecurity, "trustedAuthorities">>().toEqualTypeOf<
    readonly (readonly Segment[])[]
  >();
  expectTypeOf<ClassAttributeValue<typeof EtherNetIpSecurity, "numberOfPsksSupported">>().toEqualTypeOf<number>();
  expectTypeOf<ServiceRequest<typeof EtherNetIpSecurity, "beginConfig">>().toEqualTypeOf<void>();
  expectTypeOf<ServiceRequest<typeof EtherNetIpSecurity, "reset">>().toEqualTypeOf<boolean | undefined>();
  expectTypeOf<ServiceRequest<typeof CertificateManagement, "create">>().toEqualTypeOf<string>();
  expectTypeOf<ServiceResponse<typeof CertificateManagement, "create">>().toEqualTypeOf<number>();
  expectTypeOf<ClassService<typeof CertificateManagement>>().toEqualTypeOf<"create">();
  expectTypeOf<InstanceService<typeof CertificateManagement>>().toEqualTypeOf<
    "delete" | "createCsr" | "verifyCertificate"
  >();
  expectTypeOf<ClassService<typeof CipSecurity>>().toEqualTypeOf<"objectCleanup">();
  expectTypeOf<InstanceService<typeof CipSecurity>>().toEqualTypeOf<keyof (typeof CipSecurity)["services"]>();
});
