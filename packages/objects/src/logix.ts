import {
  REST,
  ReadModifyWriteRequest,
  ReadTagFragmentedRequest,
  ReadTagReply,
  ReadTagRequest,
  ReadTemplateRequest,
  STRING,
  SymbolListRequest,
  SymbolType,
  UDINT,
  UINT,
  USINT,
  WriteTagFragmentedRequest,
  WriteTagRequest,
} from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import { SymbolDimensions } from "./layouts.ts";

/** One instance for each tag of a Logix controller; its services also go to a path of names. */
export const SymbolObject = objectClass({
  name: "Symbol",
  classId: 0x6b,
  revision: 1,
  source: "publication 1756-PM020; reference ethernet-ip.md 8.3",
  attributes: {
    name: { id: 1, type: STRING, access: "get", doc: "Name of the tag, at most 40 characters." },
    symbolType: {
      id: 2,
      type: SymbolType,
      access: "get",
      doc: "Elementary type or template of the tag, and its count of dimensions.",
    },
    byteCount: { id: 7, type: UINT, access: "get", unit: "octets", doc: "Size of one element." },
    dimensions: {
      id: 8,
      type: SymbolDimensions,
      access: "get",
      doc: "Elements in each dimension; 0 where there is none.",
    },
    externalAccess: {
      id: 10,
      type: USINT,
      access: "get",
      values: { readWrite: 0, readOnly: 2, none: 3 },
      doc: "What the network may do with the tag.",
    },
  },
  services: {
    readTag: { code: 0x4c, request: ReadTagRequest, response: ReadTagReply, optional: true, doc: "Reads elements." },
    writeTag: { code: 0x4d, request: WriteTagRequest, optional: true, doc: "Writes elements." },
    readModifyWriteTag: {
      code: 0x4e,
      request: ReadModifyWriteRequest,
      optional: true,
      doc: "Sets and clears bits of an integer.",
    },
    readTagFragmented: {
      code: 0x52,
      request: ReadTagFragmentedRequest,
      response: ReadTagReply,
      optional: true,
      doc: "Reads elements from an offset on.",
    },
    writeTagFragmented: {
      code: 0x53,
      request: WriteTagFragmentedRequest,
      optional: true,
      doc: "Writes a part of elements.",
    },
    getInstanceAttributeList: {
      code: 0x55,
      level: "both",
      request: SymbolListRequest,
      response: REST,
      optional: true,
      doc: "Lists attributes of all symbols from this instance on.",
    },
  },
});

/** One instance for each structure that tags of a Logix controller are made of. */
export const TemplateObject = objectClass({
  name: "Template",
  classId: 0x6c,
  revision: 1,
  source: "publication 1756-PM020; reference ethernet-ip.md 8.4",
  attributes: {
    handle: { id: 1, type: UINT, access: "get", doc: "What messages name the structure by." },
    memberCount: { id: 2, type: UINT, access: "get", doc: "Members, hidden ones that host BOOLs included." },
    unpublished: {
      id: 3,
      type: UINT,
      access: "get",
      optional: true,
      default: 0,
      doc: "Of unknown meaning; some clients read it among the others and pass it over.",
    },
    definitionWords: {
      id: 4,
      type: UDINT,
      access: "get",
      unit: "32-bit words",
      doc: "Size of the definition, with 23 octets that Read does not hand out.",
    },
    structureSize: { id: 5, type: UDINT, access: "get", unit: "octets", doc: "Size of one structure." },
  },
  services: {
    readTemplate: {
      code: 0x4c,
      request: ReadTemplateRequest,
      response: REST,
      optional: true,
      doc: "Reads a part of the definition: members, then names.",
    },
  },
});
