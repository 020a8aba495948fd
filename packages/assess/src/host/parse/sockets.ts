/** Something that listens. */
export interface ListeningSocket {
  readonly protocol: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  /** Name of the program, where the kernel lets us see it. */
  readonly program: string | undefined;
  readonly isLoopback: boolean;
}

/** Output of `ss -H -tulnp`. Lines of other forms are left out. */
export function parseSockets(text: string): readonly ListeningSocket[] {
  return text.split("\n").flatMap((line) => {
    const [protocol, , , , local = "", , ...rest] = line.trim().split(/\s+/);
    if (protocol !== "tcp" && protocol !== "udp") return [];
    const [, host = "", port = ""] = /^(.*):(\d{1,5})$/.exec(local) ?? [];
    if (port === "") return [];
    const address = host.replace(/%.*$/, "").replace(/^\[(.*)\]$/, "$1");
    const program = /users:\(\("([^"]{1,64})"/.exec(rest.join(" "))?.[1];
    const isLoopback = address.startsWith("127.") || address === "::1" || address.startsWith("::ffff:127.");
    return [{ protocol, address, port: Number(port), program, isLoopback }];
  });
}
