// A local-first peer: it has a document, shows it, changes it and syncs it with other peers.
//
// The one argument is a JSON file: name, seed (32 bytes in hexadecimal, of its owner's key), rule,
// relay (it has no owner, and passes on what others do), port, folder (where its ledger is),
// urls (of the peers it dials, by name), heartbeat_ms and silence_ms (of its links).

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { serve } from "./api.js";
import { Signer } from "./changes.js";
import { Links } from "./links.js";
import { Replica } from "./replica.js";

const { name, seed, rule, relay, port, folder, urls, heartbeat_ms, silence_ms } = JSON.parse(
  readFileSync(process.argv[2], "utf8"),
);
const signer = new Signer(seed);
const path = join(folder, "changes.jsonl");
const replica = await new Replica({ name, rule, signer, path }).open();
const server = createServer();
const links = new Links({ replica, server, urls, heartbeat_ms, silence_ms });
serve(server, { replica, links, signer, relay });
server.listen(port, () => {
  console.log(`${name}: ${replica.state().changes} changes, rule ${rule}, port ${port}`);
});
process.on("SIGTERM", () => process.exit(0)); // what was acknowledged is on disk
