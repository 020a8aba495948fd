// Announces an EST server until its input ends, or browses for one: in a process, so that it can live in another network.
import { announceEst, browseEstByMdns } from "@cipsec/pki";

const [, , what, address = ""] = process.argv;

if (what === "browse") {
  console.log(JSON.stringify(await browseEstByMdns("_est._tcp", { interface: address, timeoutMs: 10_000 })));
} else {
  const server = { name: "Hall 3", host: "est.local", address, port: 8443, label: "line2", interface: address };
  const announced = announceEst(server);
  console.log("announced");
  process.stdin.resume();
  process.stdin.once("end", () => void announced.close());
}
