import { PACKED_EPATH, REST, SHORT_STRING, INT, UINT, USINT, WORD } from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import { ParamDescriptor } from "./eds/params.ts";

/** Bits of the class's `descriptor`. */
export const ParameterClassDescriptor = {
  instances: 0x0001,
  fullAttributes: 0x0002,
  needsSaveCommand: 0x0004,
  saved: 0x0008,
} as const;

/**
 * One instance for each parameter of the device, as tools and panels show them. Attributes 1 to 6 are what every parameter has (a
 * stub), 7 to 21 what a full one has too: all or none of them are there.
 *
 * Value, bounds and default are octets of the type that `dataType` names: only the instance says how many, so a whole
 * Get_Attributes_All cannot be told apart by this declaration alone.
 */
export const Parameter = objectClass({
  name: "Parameter",
  classId: 0x0f,
  revision: 1,
  source: "CIP Vol 1, Parameter Object; reference ethernet-ip.md 7.5",
  classAttributes: {
    descriptor: {
      id: 8,
      type: WORD,
      access: "get",
      values: ParameterClassDescriptor,
      doc: "What the instances have and whether they are kept.",
    },
    configurationAssembly: {
      id: 9,
      type: UINT,
      access: "get",
      doc: "Instance of the assembly that configures the device; 0 where there is none.",
    },
    nativeLanguage: { id: 10, type: USINT, access: "get", doc: "Language of all texts; 0 is English." },
  },
  attributes: {
    value: { id: 1, type: REST, access: "get/set", doc: "The value, of the type that the data type names." },
    linkPathSize: { id: 2, type: USINT, access: "get", unit: "octets", doc: "Octets of the link path." },
    linkPath: { id: 3, type: PACKED_EPATH, access: "get", doc: "Where the value is read and written." },
    descriptor: { id: 4, type: WORD, access: "get", values: ParamDescriptor, doc: "Kind of the parameter." },
    dataType: { id: 5, type: USINT, access: "get", doc: "Code of an elementary type, such as 0xC7 for UINT." },
    dataSize: { id: 6, type: USINT, access: "get", unit: "octets", doc: "Octets of the value." },
    name: { id: 7, type: SHORT_STRING, access: "get", optional: true, doc: "Name, at most 16 characters." },
    units: { id: 8, type: SHORT_STRING, access: "get", optional: true, doc: "Unit, at most 4 characters." },
    help: { id: 9, type: SHORT_STRING, access: "get", optional: true, doc: "What it is, at most 64 characters." },
    minimum: { id: 10, type: REST, access: "get", optional: true, doc: "The least value." },
    maximum: { id: 11, type: REST, access: "get", optional: true, doc: "The greatest value." },
    defaultValue: { id: 12, type: REST, access: "get", optional: true, doc: "The value out of the box." },
    scalingMultiplier: { id: 13, type: UINT, access: "get", optional: true, doc: "Factor for display." },
    scalingDivisor: { id: 14, type: UINT, access: "get", optional: true, doc: "Divisor for display." },
    scalingBase: { id: 15, type: UINT, access: "get", optional: true, doc: "Another factor for display." },
    scalingOffset: { id: 16, type: INT, access: "get", optional: true, doc: "Added to the value before it is scaled." },
    multiplierLink: {
      id: 17,
      type: UINT,
      access: "get",
      optional: true,
      doc: "Parameter that holds the multiplier; 0 is none.",
    },
    divisorLink: { id: 18, type: UINT, access: "get", optional: true, doc: "The same for the divisor." },
    baseLink: { id: 19, type: UINT, access: "get", optional: true, doc: "The same for the base." },
    offsetLink: { id: 20, type: UINT, access: "get", optional: true, doc: "The same for the offset." },
    decimals: { id: 21, type: USINT, access: "get", optional: true, doc: "Digits behind the point for display." },
  },
  services: {
    getEnumString: {
      code: 0x4b,
      request: USINT,
      response: SHORT_STRING,
      optional: true,
      doc: "The name of this value, of a parameter whose values have names.",
    },
  },
  all: [
    "value",
    "linkPathSize",
    "linkPath",
    "descriptor",
    "dataType",
    "dataSize",
    "name",
    "units",
    "help",
    "minimum",
    "maximum",
    "defaultValue",
    "scalingMultiplier",
    "scalingDivisor",
    "scalingBase",
    "scalingOffset",
    "multiplierLink",
    "divisorLink",
    "baseLink",
    "offsetLink",
    "decimals",
  ],
  classAll: [1, 2, 8, 9, 10],
});
