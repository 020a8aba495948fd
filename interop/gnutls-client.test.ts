import { gnutlsClient } from "./kit/gnutls.ts";
import { withPeers } from "./kit/programs.ts";
import { tlsClientCases } from "./kit/tls-cases.ts";

withPeers("gnutls-cli against commissioned devices", ["gnutls-cli", "openssl"], () =>
  tlsClientCases(gnutlsClient, "127.27.2"),
);
