import { createRequire } from "node:module";
import { endianness } from "node:os";
import type * as koffi from "koffi";

type Koffi = Pick<typeof koffi, "address" | "load" | "sizeof">;

/** An address, or 0 for none. Addresses of a process fit into a double's 53 bits, which is checked once. */
export type Pointer = number;

/** A function of OpenSSL, all of whose arguments are numbers or addresses. */
type Call = (...args: readonly (number | string)[]) => number;

/** The functions of OpenSSL 3 that protect records, out of the library that this program runs on. */
export interface NativeLibrary {
  readonly newCipherContext: Call;
  readonly freeCipherContext: Call;
  /** Context, cipher, engine (0), key, nonce, 1 to encrypt or 0 to decrypt. */
  readonly initCipher: Call;
  /** Context, output, octets written, input, octets. Without output the input is additional data. */
  readonly updateCipher: Call;
  readonly finishCipher: Call;
  /** Context, what, a number, an address. */
  readonly controlCipher: Call;
  readonly setPadding: Call;
  readonly fetchCipher: Call;
  readonly fetchMac: Call;
  readonly newMacContext: Call;
  readonly freeMacContext: Call;
  readonly initMac: Call;
  readonly updateMac: Call;
  readonly finishMac: Call;
  readonly clearErrors: Call;
  /** The address of octets that stay where they are: a buffer outside of the collector's heap. */
  addressOf(octets: Buffer): Pointer;
}

let loaded: NativeLibrary | string | undefined;

/** The library, or why it cannot be had. Looked for once. */
export function nativeLibrary(): NativeLibrary | string {
  loaded ??= load(requireKoffi);
  return loaded;
}

/**
 * Binds the functions.
 *
 * @param find Gives the package `koffi`, or throws where it is not there or not made for this platform.
 * @returns The library, or why it cannot be had.
 */
export function load(find: () => Koffi): NativeLibrary | string {
  let koffi: Koffi;
  try {
    koffi = find();
  } catch {
    return "the package 'koffi' is not installed, or not for this platform";
  }
  try {
    return bind(koffi);
  } catch (error) {
    return `this program does not offer OpenSSL's functions: ${error instanceof Error ? error.message : ""}`;
  }
}

function requireKoffi(): Koffi {
  const koffi: Koffi = createRequire(import.meta.url)("koffi");
  return koffi;
}

function bind(koffi: Koffi): NativeLibrary | string {
  if (koffi.sizeof("void *") !== 8 || endianness() !== "LE") return "this is no 64-bit machine of the usual order";
  const address = koffi.address(Buffer.allocUnsafeSlow(64));
  if (!Number.isSafeInteger(Number(address))) return "addresses of this machine have more than 53 bits";
  const program = koffi.load(null);
  // Addresses travel as numbers: half the cost of big integers, and a third of that of buffers.
  const call = (name: string, result: string, ...types: readonly string[]): Call =>
    program.func(name, result, [...types]);
  const p = "uintptr_t";
  const version = call("OpenSSL_version_num", "ulong")();
  if (version < 0x30000000 || version >= 0x40000000) return `OpenSSL ${version.toString(16)} is not known here`;
  return {
    newCipherContext: call("EVP_CIPHER_CTX_new", p),
    freeCipherContext: call("EVP_CIPHER_CTX_free", "void", p),
    initCipher: call("EVP_CipherInit_ex", "int", p, p, p, p, p, "int"),
    updateCipher: call("EVP_CipherUpdate", "int", p, p, p, p, "int"),
    finishCipher: call("EVP_CipherFinal_ex", "int", p, p, p),
    controlCipher: call("EVP_CIPHER_CTX_ctrl", "int", p, "int", "int", p),
    setPadding: call("EVP_CIPHER_CTX_set_padding", "int", p, "int"),
    fetchCipher: call("EVP_CIPHER_fetch", p, p, "str", p),
    fetchMac: call("EVP_MAC_fetch", p, p, "str", p),
    newMacContext: call("EVP_MAC_CTX_new", p, p),
    freeMacContext: call("EVP_MAC_CTX_free", "void", p),
    initMac: call("EVP_MAC_init", "int", p, p, "size_t", p),
    updateMac: call("EVP_MAC_update", "int", p, p, "size_t"),
    finishMac: call("EVP_MAC_final", "int", p, p, p, "size_t"),
    clearErrors: call("ERR_clear_error", "void"),
    addressOf: (octets) => Number(koffi.address(octets)),
  };
}
