import { macLength } from "../key-schedule.ts";
import type { AeadName, MacName } from "../suites.ts";
import { nativeLibrary } from "./native-library.ts";
import type { NativeLibrary, Pointer } from "./native-library.ts";
import { agrees } from "./native-trial.ts";
import type { Aead, BlockCipher, Mac, PrimitiveName, Primitives } from "./primitives.ts";
import { Context, maxOctets, places, Workspace } from "./workspace.ts";

let made: Primitives | string | undefined;

/** Whether each cipher and hash does what `node:crypto` does. */
const tried = new Map<PrimitiveName, boolean>();

/** The same primitives by direct calls into OpenSSL, or why they cannot be had for these. */
export function nativePrimitives(names: readonly PrimitiveName[]): Primitives | string {
  made ??= make(nativeLibrary());
  return tryOut(made, names, tried);
}

/**
 * The primitives, where each of these does what it should.
 *
 * @param outcomes Of those that were tried before.
 */
export function tryOut(
  primitives: Primitives | string,
  names: readonly PrimitiveName[],
  outcomes: Map<PrimitiveName, boolean>,
): Primitives | string {
  if (typeof primitives === "string") return primitives;
  for (const name of names) {
    const good = outcomes.get(name) ?? agrees(primitives, name);
    outcomes.set(name, good);
    if (!good) return `${name} of OpenSSL, called directly, does not do what it should`;
  }
  return primitives;
}

/** The primitives on a library; a reason why there is none stays one. */
export function make(library: NativeLibrary | string): Primitives | string {
  if (typeof library === "string") return library;
  const work = new Workspace(library);
  const fetched = new Map<string, Pointer>();
  const fetch = (name: string, how: () => Pointer): Pointer => {
    const found = fetched.get(name) ?? work.check(how());
    fetched.set(name, found);
    return found;
  };
  const cipher = (name: string): Pointer => fetch(name, () => library.fetchCipher(0, name, 0));
  const mac = (): Pointer => fetch("HMAC", () => library.fetchMac(0, "HMAC", 0));
  return {
    accelerated: true,
    aead: (name, key, tagLength) => aead(work, cipher(name), name, key, tagLength),
    cbc: (name, key) => cbc(work, cipher(name), key),
    hmac: (hash, key) => hmac(work, mac(), hash, key),
  };
}

const controls = { setNonceLength: 0x9, getTag: 0x10, setTag: 0x11 } as const;
const nonceLength = 12;
const [encrypting, decrypting, asBefore] = [1, 0, -1];

function aead(work: Workspace, cipher: Pointer, name: AeadName, key: Uint8Array, tagLength: number): Aead {
  const { library, memory } = work;
  const [written, body] = [work.address(places.written), work.address(places.body)];
  const isCcm = name.endsWith("-ccm");
  const control = (context: Pointer, what: number, value: number, at: Pointer): boolean =>
    library.controlCipher(context, what, value, at) > 0;
  const contextFor = (direction: number): Context => {
    const context = newContext(work);
    const { pointer } = context;
    work.check(library.initCipher(pointer, cipher, 0, 0, 0, direction));
    work.check(control(pointer, controls.setNonceLength, nonceLength, 0));
    if (isCcm) work.check(control(pointer, controls.setTag, tagLength, 0));
    work.withKey(key, (at) => library.initCipher(pointer, 0, 0, at, 0, direction));
    return context;
  };
  const encryption = contextFor(encrypting);
  // CCM settles the direction with the key, the others with each nonce.
  const decryption = isCcm ? contextFor(decrypting) : encryption;

  const start = (context: Pointer, direction: number, nonce: Uint8Array): boolean => {
    work.put(nonce, places.nonce);
    return library.initCipher(context, 0, 0, 0, work.address(places.nonce), direction) > 0;
  };
  /** Additional data, and content where it lies. CCM wants to know the length first, and is done with the content. */
  const run = (context: Pointer, data: Uint8Array, length: number): boolean => {
    work.put(data, places.data);
    return (
      (!isCcm || library.updateCipher(context, 0, written, 0, length) > 0) &&
      library.updateCipher(context, 0, written, work.address(places.data), data.length) > 0 &&
      library.updateCipher(context, body, written, body, length) > 0 &&
      (isCcm || library.finishCipher(context, body + length, written) > 0)
    );
  };

  return {
    encrypt(nonce, data, content, record, at) {
      const { pointer } = encryption;
      const { length } = content;
      work.checkRoom(length);
      work.put(content, places.body);
      work.check(
        start(pointer, encrypting, nonce) &&
          run(pointer, data, length) &&
          control(pointer, controls.getTag, tagLength, body + length),
      );
      memory.copy(record, at, places.body, places.body + length + tagLength);
    },
    decrypt(nonce, data, sealed) {
      const { pointer } = decryption;
      const length = sealed.length - tagLength;
      if (length < 0 || sealed.length > maxOctets) return undefined;
      work.put(sealed, places.body);
      if (
        start(pointer, decrypting, nonce) &&
        control(pointer, controls.setTag, tagLength, body + length) &&
        run(pointer, data, length)
      )
        return work.copyOf(places.body, length);
      memory.fill(0, places.body, places.body + sealed.length);
      // What stays in the thread's list of errors would be taken for a failure of some TLS connection.
      library.clearErrors();
      return undefined;
    },
    dispose() {
      encryption.dispose();
      decryption.dispose();
    },
  };
}

function cbc(work: Workspace, cipher: Pointer, key: Uint8Array): BlockCipher {
  const { library, memory } = work;
  const [written, body] = [work.address(places.written), work.address(places.body)];
  const contextFor = (direction: number): Context => {
    const context = newContext(work);
    work.withKey(key, (at) => library.initCipher(context.pointer, cipher, 0, at, 0, direction));
    work.check(library.setPadding(context.pointer, 0));
    return context;
  };
  const [encryption, decryption] = [contextFor(encrypting), contextFor(decrypting)];
  const run = ({ pointer }: Context, iv: Uint8Array, blocks: Uint8Array): void => {
    work.checkRoom(blocks.length);
    work.put(iv, places.nonce);
    work.put(blocks, places.body);
    work.check(
      library.initCipher(pointer, 0, 0, 0, work.address(places.nonce), asBefore) > 0 &&
        library.updateCipher(pointer, body, written, body, blocks.length) > 0,
    );
  };
  return {
    encrypt(iv, blocks, record, at) {
      run(encryption, iv, blocks);
      memory.copy(record, at, places.body, places.body + blocks.length);
    },
    decrypt(iv, blocks) {
      run(decryption, iv, blocks);
      return work.copyOf(places.body, blocks.length);
    },
    dispose() {
      encryption.dispose();
      decryption.dispose();
    },
  };
}

function hmac(work: Workspace, mac: Pointer, hash: MacName, key: Uint8Array): Mac {
  const { library } = work;
  const context = new Context(work.check(library.newMacContext(mac)), library.freeMacContext);
  const parameters = digestParameter(work, hash);
  work.withKey(key, (at) => library.initMac(context.pointer, at, key.length, parameters));
  const length = macLength[hash];
  return {
    sign(data, content) {
      work.checkRoom(content.length);
      work.put(data, places.body);
      work.put(content, places.body + data.length);
      work.check(
        library.initMac(context.pointer, 0, 0, 0) > 0 &&
          library.updateMac(context.pointer, work.address(places.body), data.length + content.length) > 0 &&
          library.finishMac(context.pointer, work.address(places.tag), work.address(places.written), length) > 0,
      );
      return work.copyOf(places.tag, length);
    },
    dispose: () => context.dispose(),
  };
}

function newContext(work: Workspace): Context {
  const { library } = work;
  return new Context(work.check(library.newCipherContext()), library.freeCipherContext);
}

/** OpenSSL's list of named parameters with the one entry `digest`, as 64-bit machines lay it out. */
function digestParameter(work: Workspace, hash: MacName): Pointer {
  const { memory } = work;
  const at = places.digest;
  const [name, value] = [at + 2 * parameterOctets, at + 2 * parameterOctets + 16];
  memory.fill(0, at, places.tag);
  memory.write("digest", name, "latin1");
  memory.write(hash, value, "latin1");
  memory.writeBigUInt64LE(BigInt(work.address(name)), at);
  memory.writeUInt32LE(utf8String, at + 8);
  memory.writeBigUInt64LE(BigInt(work.address(value)), at + 16);
  memory.writeBigUInt64LE(BigInt(hash.length), at + 24);
  return work.address(at);
}

/** Octets of an entry: name, type, value, length of the value, and what OpenSSL would answer. An empty one ends the list. */
const parameterOctets = 40;
const utf8String = 4;
