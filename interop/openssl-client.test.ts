import { opensslClient } from "./kit/openssl.ts";
import { withPeers } from "./kit/programs.ts";
import { tlsClientCases } from "./kit/tls-cases.ts";

withPeers("openssl s_client against commissioned devices", ["openssl"], () =>
  tlsClientCases(opensslClient, "127.27.1"),
);
