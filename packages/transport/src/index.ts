export type { Channel, ChannelFacts, CloseReason, Endpoint, PeerIdentity, SecurityFacts } from "./channel.ts";
export { clockWithoutDate, systemClock } from "./clock.ts";
export type { Cancel, Clock } from "./clock.ts";
