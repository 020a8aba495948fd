import { cmpClient, isCmpUrl, type UpstreamClient } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { randomBytes } from "node:crypto";
import { textOption, type Context } from "../command.ts";
import { estAnchors, estClientOf, estIdentity, passwordOf } from "./est-options.ts";

type Options = Readonly<Record<string, unknown>>;

/** A client for the authority above, by the protocol that its URL names. */
export async function upstreamClientOf(context: Context, options: Options, url: string): Promise<UpstreamClient> {
  if (!isCmpUrl(url)) return await estClientOf(context, options, url);
  const unusable = ["fingerprint", "label", "connect", "crl"].find((name) => textOption(options, name) !== undefined);
  if (unusable !== undefined)
    throw new UsageError("usage/argument", `--${unusable} is not for a CMP server`, {
      fix: "Leave it out: --ca names the authority, and the URL has the whole path.",
    });
  if (textOption(options, "ca") === undefined)
    throw new UsageError("usage/argument", "--ca is missing: a CMP server is believed by its authority only", {
      fix: "Give the certificate of the authority above, which its operator has.",
    });
  const certificate = await estIdentity(options);
  const password = await passwordOf(options);
  const client = cmpClient({
    url,
    authorities: await estAnchors(context, options, url),
    identity: {
      ...(certificate === undefined ? {} : { certificate }),
      ...(password === undefined ? {} : { password }),
    },
    now: () => new Date(),
    randomBytes,
    timeoutMs: context.timeoutMs,
    signal: context.signal,
  });
  return { ...client, enroll: async (build) => await client.request(await build({ challengePassword: undefined })) };
}
