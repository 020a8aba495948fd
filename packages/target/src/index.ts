export { Router, destinationOf } from "./router.ts";
