import { CipSecurityItem, Command, Cpf, ItemType, ListIdentityItem, encode, frame } from "@cipsec/wire";

/** An answer to the ListIdentity request in `request`, with these open ports. */
export function reply(request: Uint8Array, ianaPortState: number): Uint8Array {
  const identity = encode(ListIdentityItem, {
    protocolVersion: 1,
    socket: { family: 2, port: 44818, address: 0 },
    vendorId: 1,
    deviceType: 1,
    productCode: 1,
    revision: { major: 1, minor: 1 },
    status: 0,
    serialNumber: 1,
    productName: "Liar",
    state: 3,
  });
  const security = encode(CipSecurityItem, {
    profiles: 2,
    cipSecurityState: 2,
    ethernetIpSecurityState: 2,
    ianaPortState,
    profilesConfigured: 2,
  });
  return frame(Command.listIdentity, {
    context: request.slice(12, 20),
    data: encode(Cpf, [
      { type: ItemType.listIdentity, data: identity },
      { type: ItemType.cipSecurity, data: security },
    ]),
  });
}
