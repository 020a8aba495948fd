import { dial } from "@cipsec/transport";
import { isStackError } from "@cipsec/wire";

/** Whether a TCP port accepts a connection within the time. Nothing is sent; an abort rejects. */
export async function isPortOpen(
  host: string,
  port: number,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    const channel = await dial({ protocol: "tcp", host, port, timeoutMs, ...(signal === undefined ? {} : { signal }) });
    channel.destroy();
    return true;
  } catch (error) {
    if (signal?.aborted === true || !isStackError(error) || !error.code.startsWith("transport/")) throw error;
    return false;
  }
}
