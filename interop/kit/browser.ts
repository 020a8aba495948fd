import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printed, start, stop } from "./programs.ts";

/** A page in Debian's Chromium, driven over the DevTools protocol by Node's own WebSocket. */
export interface Page extends AsyncDisposable {
  /** Opens a page at a width in CSS pixels, and waits until it is loaded. */
  open(url: string, width: number): Promise<void>;
  /** The value of an expression in the page. */
  value(expression: string): Promise<unknown>;
  /** What the page and the browser complained about since it was opened. */
  readonly complaints: readonly string[];
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** Starts the browser; as root it has no sandbox, and only files of ours are opened. */
export async function startPage(): Promise<Page> {
  const profile = await mkdtemp(join(tmpdir(), "cipsec-interop-browser-"));
  const child = start("chromium", [
    "--headless",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-sandbox",
    "--remote-debugging-port=0",
    `--user-data-dir=${profile}`,
    "about:blank",
  ]);
  const close = async (): Promise<void> => {
    await stop(child);
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const [, port = ""] = await printed(child, /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//, 30_000);
    const list = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as readonly {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const url = list.find(({ type }) => type === "page")?.webSocketDebuggerUrl;
    if (url === undefined) throw new Error("the browser has no page");
    return await drive(new WebSocket(url), close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function drive(socket: WebSocket, close: () => Promise<void>): Promise<Page> {
  await once(socket, "open");
  const waiting = new Map<number, (message: Message) => void>();
  const events = new EventTarget();
  const complaints: string[] = [];
  let last = 0;
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    if (message.method === "Log.entryAdded" || message.method === "Runtime.consoleAPICalled")
      complaints.push(JSON.stringify(message.params));
    if (message.method === "Runtime.exceptionThrown") complaints.push(JSON.stringify(message.params));
    if (message.method !== undefined) events.dispatchEvent(new Event(message.method));
  });
  const ask = async (method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> => {
    const id = ++last;
    const { result, error } = await new Promise<Message>((resolve) => {
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
    if (result === undefined) throw new Error(`${method}: ${error?.message ?? "no result"}`);
    return result;
  };
  for (const domain of ["Page", "Log", "Runtime"]) await ask(`${domain}.enable`);
  return {
    complaints,
    async open(url, width) {
      complaints.length = 0;
      await ask("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
      const loaded = once(events, "Page.loadEventFired");
      await ask("Page.navigate", { url });
      await loaded;
    },
    async value(expression) {
      const { result } = await ask("Runtime.evaluate", { expression, returnByValue: true });
      return (result as { readonly value?: unknown }).value;
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await close();
    },
  };
}
