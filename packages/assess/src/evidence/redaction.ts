/** A secret shorter than this is found in innocent text; it is refused, so that nobody relies on it. */
const minSecretOctets = 4;

/** What takes the place of a secret. */
const mark = "[redacted]";

/** Forms that are secret whoever knows them: private keys, password hashes, and the signature of a token. */
const patterns: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]{0,20000}?-----END \1-----/g, `[redacted private key]`],
  [/(^|[:\s"'])(\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|argon2[a-z]*)\$)[^\s:"']{8,}/gm, `$1$2${mark}`],
  [/\b(eyJ[\w-]{4,}\.[\w-]{2,})\.[\w-]{10,}/g, `$1.${mark}`],
];

/** Takes secrets out of evidence before it is stored or hashed. */
export interface Redactor {
  /** From now on this value is taken out wherever it appears: as text, as hex, and as Base64. Shorter ones than four octets are not. */
  add(secret: string | Uint8Array): void;
  text(text: string): { readonly text: string; readonly redacted: boolean };
  /** Octets of a capture or file; a secret's octets become `X`, so that lengths stay. */
  octets(octets: Uint8Array): { readonly octets: Uint8Array; readonly redacted: boolean };
}

/** A redactor that knows no secrets yet, only the forms that are always secret. */
export function makeRedactor(): Redactor {
  const secrets: Buffer[] = [];
  const spellings = new Set<string>();
  return {
    add(secret) {
      const octets = Buffer.from(secret);
      if (octets.length < minSecretOctets) return;
      secrets.push(octets);
      const hex = octets.toString("hex");
      for (const form of [hex, hex.toUpperCase(), ...base64Forms(octets)]) spellings.add(form);
      if (typeof secret === "string") {
        spellings.add(secret);
        // As it stands in JSON, where a quote or a backslash is escaped.
        spellings.add(JSON.stringify(secret).slice(1, -1));
      }
    },
    text(text) {
      let clean = text;
      // Longest first: a secret may hold another.
      for (const form of [...spellings].sort((a, b) => b.length - a.length)) clean = clean.replaceAll(form, mark);
      for (const [pattern, instead] of patterns) clean = clean.replaceAll(pattern, instead);
      return { text: clean, redacted: clean !== text };
    },
    octets(octets) {
      const clean = Buffer.from(octets);
      let redacted = false;
      for (const secret of secrets)
        for (let at = clean.indexOf(secret); at >= 0; at = clean.indexOf(secret, at + secret.length)) {
          clean.fill("X", at, at + secret.length);
          redacted = true;
        }
      return { octets: clean, redacted };
    },
  };
}

/** Base64 of the octets wherever they start in a longer text: the characters that do not depend on their neighbours. */
function base64Forms(octets: Buffer): readonly string[] {
  const forms = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), octets])
      .toString("base64")
      .replaceAll("=", "");
    const whole = Math.floor(((before + octets.length) * 8) / 6);
    return text.slice(Math.ceil((before * 8) / 6), whole);
  });
  return [...forms, ...forms.map((form) => form.replaceAll("+", "-").replaceAll("/", "_"))];
}
