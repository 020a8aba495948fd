import type { CipLine, MessageLine } from "@cipsec/capture";
import { classById, classIdentifier } from "@cipsec/objects";
import { Command, Service, statusText } from "@cipsec/wire";

const commandNames = namesByCode(Command);
const serviceNames = namesByCode(Service);

/** Requests whose names replies are told by; more conversations than a capture of a plant has. */
const maxRemembered = 4096;

/** Messages of a capture in words. Replies name no object: each is told by the last request of
 * its service that went the other way. */
export class MessageWords {
  readonly #asked = new Map<string, string>();

  /** One message on one line. */
  sentence(line: MessageLine): string {
    const cip = line.cip.map((message) =>
      message.response ? this.#reply(line, message) : this.#request(line, message),
    );
    const error = line.error === null ? [] : [`ERROR ${line.error.code} at octet ${line.error.offset}`];
    return [`${line.n}`, line.src, "→", line.dst, line.transport, commandText(line), ...cip, ...error].join(" ");
  }

  #request({ src, dst }: MessageLine, { service, class: classId, instance, attribute }: CipLine): string {
    const name = serviceText(service, classId);
    this.#remember(`${dst} ${src} ${service}`, name);
    if (classId === null) return name;
    const object = classById(classId);
    const known = object === undefined ? undefined : classIdentifier(object);
    const place = [known ?? `0x${classId.toString(16)}`, instance, attribute].filter((part) => part !== null);
    return `${name} ${place.join("/")}`;
  }

  #reply({ src, dst }: MessageLine, { service, status, extended }: CipLine): string {
    const name = this.#asked.get(`${src} ${dst} ${service}`) ?? serviceText(service, null);
    const more =
      extended.length === 0 ? "" : ` (extended ${extended.map((word) => `0x${word.toString(16)}`).join(" ")})`;
    return `${name}: ${statusText(status ?? 0)}${more}`;
  }

  /** Bounded: a capture may hold any number of peers. */
  #remember(way: string, name: string): void {
    this.#asked.delete(way);
    this.#asked.set(way, name);
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size <= maxRemembered) return;
      this.#asked.delete(oldest);
    }
  }
}

function commandText({ command, cip }: MessageLine): string {
  if (command === null) return cip.length > 0 ? "message" : "I/O";
  return commandNames.get(command) ?? `command 0x${command.toString(16)}`;
}

/** The class's own name for a service, else the common one, else its number. */
function serviceText(code: number, classId: number | null): string {
  const object = classId === null ? undefined : classById(classId);
  const declared =
    object === undefined ? undefined : Object.entries(object.services).find(([, service]) => service.code === code);
  return declared?.[0] ?? serviceNames.get(code) ?? `service 0x${code.toString(16)}`;
}

function namesByCode(table: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(table).map(([name, code]) => [code, name]));
}
