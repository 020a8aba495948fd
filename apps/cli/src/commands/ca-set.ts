import type { Command } from "commander";
import type { CertificateAuthority } from "@cipsec/pki";
import { addCommand, addNotes, textOption, type Shell } from "../command.ts";

/** What `--crl-url` means, for every command that has it. */
export const crlUrlHelp =
  "certificates name the place of their revocation list, below this http address: URL/crl/issuing-1.crl and so on";

/** `ca set`: what the authority says in certificates from now on. */
export function addSet(ca: Command, shell: Shell): void {
  const command = addCommand(
    ca,
    shell,
    "set",
    "say where revocation lists stand, in certificates from now on",
    async (context, options) => {
      const authority = await context.data.ca();
      const url = textOption(options, "crlUrl");
      if (url !== undefined || options["crlUrl"] === false) await authority.setCrlBase(url);
      context.output.document({ crlUrl: authority.crlBase ?? null });
      context.output.say(crlPlaceWords(authority));
    },
  )
    .option("--crl-url <url>", crlUrlHelp)
    .option("--no-crl-url", "certificates name no such place");
  addNotes(command, {
    json: "{crlUrl: string | null}",
    examples: [
      [
        "cipsec ca set --crl-url http://pki.plant.example",
        "with: cipsec est serve --crl-listen 192.0.2.10:80, or a web server and cipsec ca crl --publish",
      ],
      ["cipsec ca set", "what is set now"],
    ],
  });
}

/** Where the certificates of an authority say that its list is. */
export function crlPlaceWords({ crlBase, inService }: CertificateAuthority): string {
  return crlBase === undefined
    ? "Certificates do not say where their revocation list stands."
    : `Certificates issued from now on say that their revocation list stands at ${crlBase}/crl/issuing-${inService.tiers.issuing}.crl.`;
}
