import { FileAccessRule, FileEncoding, FileObject, InvocationMethod, SaveParameter } from "@cipsec/objects";
import { Status, fileChecksum, type InternationalText } from "@cipsec/wire";
import type { InstanceHandlers } from "../hosting.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";
import { transferOwner } from "../security/access.ts";
import { referenced, withFile, type Configuration, type FileEntry } from "../security/configuration.ts";
import { english } from "../security/inventory.ts";
import type { SecurityServices } from "../security/services.ts";
import { FileError, freeFileInstance } from "../security/transfers.ts";

/** Names are shown in lists; more languages than this serve nobody. */
const maxNameLength = 64;
const maxLanguages = 4;

const encodings = new Set<number>([
  FileEncoding.binary,
  FileEncoding.pemCertificate,
  FileEncoding.pkcs7Certificate,
  FileEncoding.pemCrl,
  FileEncoding.pkcs7Crl,
  FileEncoding.ascii,
]);

/** Hosts File (0x37): certificates and revocation lists in, requests out. @see reference cip-security.md 3.4 */
export function hostFile(router: Router, services: SecurityServices): void {
  const { cycle, inventory, settings } = services;
  const ids = (): readonly number[] => inventory.fileIds(cycle.working);
  router.hostMany(
    FileObject,
    {
      directory: {
        get: () =>
          ids().map((instance) => ({
            instance,
            instanceName: inventory.file(cycle.working, instance)?.name ?? [],
            fileName: inventory.file(cycle.working, instance)?.fileName ?? [],
          })),
      },
      create: ({ instanceName, encoding }) => {
        let instance = 0;
        cycle.change((working) => {
          checkName(instanceName);
          if ((instanceName[0]?.text ?? "") === "")
            throw refuse(Status.invalidParameter, { extended: [FileError.nameEmpty] });
          if (isTaken(instanceName, working, services))
            throw refuse(Status.invalidParameter, { extended: [FileError.nameDuplicate] });
          if (!encodings.has(encoding)) throw refuse(Status.invalidParameter, { reason: `no encoding ${encoding}` });
          instance = freeFileInstance(working, settings);
          return withFile(working, instance, emptyFile(instanceName, encoding));
        });
        return { instance, invocationMethod: InvocationMethod.application };
      },
    },
    {
      ids,
      get: (instance) => {
        const file = inventory.file(cycle.working, instance);
        return file === undefined ? undefined : handlersOf(instance, file, services);
      },
    },
  );
}

function handlersOf(id: number, file: FileEntry, services: SecurityServices): InstanceHandlers<typeof FileObject> {
  const { cycle, inventory, transfers, settings } = services;
  const isFixed = inventory.fixedFiles.has(id);
  const wrongState = (): Error => refuse(Status.objectStateConflict, { extended: [transfers.state(id, file)] });
  return {
    state: { get: () => transfers.state(id, file) },
    instanceName: { get: () => file.name },
    formatVersion: { get: () => file.formatVersion },
    fileName: { get: () => file.fileName },
    fileRevision: { get: () => file.revision },
    fileSize: { get: () => file.content?.length ?? 0 },
    fileChecksum: { get: () => fileChecksum(file.content ?? new Uint8Array()) },
    invocationMethod: { get: () => (isFixed ? InvocationMethod.notApplicable : InvocationMethod.application) },
    // Apply_Config saves: Save is not a service of these instances.
    saveParameters: { get: () => (cycle.applied.files.get(id) === file || isFixed ? SaveParameter.saved : 0) },
    accessRule: { get: () => (file.readOnly ? FileAccessRule.readOnly : FileAccessRule.readWrite) },
    encoding: { get: () => file.encoding },
    transferTimeout: {
      get: () => file.transferTimeoutS,
      set: (transferTimeoutS) => {
        if (isFixed) throw refuse(Status.attributeNotSettable);
        if (transferTimeoutS === 0) throw refuse(Status.invalidAttributeValue, { reason: "a timeout of 0 s" });
        cycle.change((working) => edited(working, id, { transferTimeoutS }));
      },
    },
    delete: () => {
      if (isFixed) throw refuse(Status.instanceNotDeletable);
      if (transfers.isActive(id) || isUsed(id, cycle.working)) throw wrongState();
      cycle.change((working) => {
        const files = new Map(working.files);
        files.delete(id);
        return { ...working, files };
      });
      transfers.cancel(id);
    },
    initiateUpload: ({ maxTransferSize }, context) => {
      const transferSize = transfers.beginUpload(id, file, maxTransferSize, transferOwner(context), context.maxReply);
      return { fileSize: file.content?.length ?? 0, transferSize };
    },
    uploadTransfer: (number, context) => transfers.upload(id, file, number, transferOwner(context)),
    initiateDownload: ({ fileSize, formatVersion, revision, fileName }, context) => {
      if (file.readOnly || !cycle.isOpen) throw wrongState();
      checkName(fileName);
      if (fileSize === 0) throw refuse(Status.invalidParameter, { extended: [FileError.zeroSize] });
      if (fileSize > settings.maxFileOctets || fileSize > roomFor(id, services))
        throw refuse(Status.invalidParameter, { extended: [FileError.tooLarge] });
      const transferSize = transfers.beginDownload(id, file, {
        size: fileSize,
        owner: transferOwner(context),
        store: (content) =>
          cycle.change((working) => edited(working, id, { formatVersion, revision, fileName, content })),
      });
      return { incrementalBurn: 0, burnTimeS: 0, transferSize };
    },
    downloadTransfer: (packet, context) => {
      if (file.readOnly) throw wrongState();
      return transfers.download(id, file, packet, transferOwner(context));
    },
    clearFile: () => {
      if (file.readOnly || transfers.isActive(id) || !cycle.isOpen) throw wrongState();
      cycle.change((working) => {
        const { content: _, ...rest } = entryOf(working, id);
        return withFile(working, id, { ...rest, fileName: english("") });
      });
    },
  };
}

/** @throws {Refusal} 0x16 when the instance has gone. */
function entryOf({ files }: Configuration, id: number): FileEntry {
  const file = files.get(id);
  if (file === undefined) throw refuse(Status.objectDoesNotExist);
  return file;
}

function edited(working: Configuration, id: number, changed: Partial<FileEntry>): Configuration {
  return withFile(working, id, { ...entryOf(working, id), ...changed });
}

/** @throws {Refusal} 0x15 with 0x0001 for a name that is too long, 0x0002 for too many languages. */
function checkName(name: readonly InternationalText[]): void {
  if (name.length > maxLanguages) throw refuse(Status.tooMuchData, { extended: [FileError.tooManyLanguages] });
  if (name.some(({ text }) => text.length > maxNameLength))
    throw refuse(Status.tooMuchData, { extended: [FileError.nameTooLong] });
}

function isTaken(name: readonly InternationalText[], working: Configuration, { inventory }: SecurityServices): boolean {
  const text = name[0]?.text;
  return inventory.fileIds(working).some((id) => inventory.file(working, id)?.name[0]?.text === text);
}

/** Whether an attribute of 0x5E or of any certificate leads to this file. */
function isUsed(id: number, working: Configuration): boolean {
  if (referenced(working).files.has(id)) return true;
  return [...working.certificates.values()].some(
    ({ device, authority }) => device.file === id || authority.file === id,
  );
}

/** Octets that all files together may still take, this one's present content not counted. */
function roomFor(id: number, { cycle, transfers, settings }: SecurityServices): number {
  let used = transfers.announced(id);
  for (const [other, { content }] of cycle.working.files) if (other !== id) used += content?.length ?? 0;
  return settings.maxAllFilesOctets - used;
}

function emptyFile(name: readonly InternationalText[], encoding: number): FileEntry {
  return {
    name,
    fileName: english(""),
    encoding,
    formatVersion: 0,
    revision: { major: 0, minor: 0 },
    readOnly: false,
    transferTimeoutS: 10,
  };
}
