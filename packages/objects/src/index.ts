export { attributeById, classAttributeById, objectClass, serviceByCode } from "./declare.ts";
export type {
  Access,
  AttributeDeclaration,
  AttributeValue,
  ClassAttributeValue,
  ClassService,
  InstanceService,
  ObjectClass,
  ServiceDeclaration,
  ServiceRequest,
  ServiceResponse,
  SettableName,
} from "./declare.ts";
