// Three peers in one process, without a network: what each shows when one edits on while another
// revokes its owner. Run where the peer's program is; prints JSON.

import { createHash } from "node:crypto";
import { appendFile, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Signer, read } from "./changes.js";
import { Replica } from "./replica.js";

const folder = await mkdtemp(join(tmpdir(), "peers-"));

const seed = (name) => createHash("sha256").update(name).digest("hex");

/** A peer of a document; whatever its ledger has is there again. */
function peer(name, rule, document = rule) {
  const path = join(folder, `${document}-${name}`);
  return new Replica({ name, rule, signer: new Signer(seed(name)), path }).open();
}

/** Peers n1 to n3 of one document; n1's owner is the admin, n2 the arbiter. */
async function three(rule, document) {
  const peers = [];
  for (const name of ["n1", "n2", "n3"]) peers.push(await peer(name, rule, document));
  const members = peers.map(({ name, signer }) => [name, { key: signer.key, admin: name === "n1" }]);
  await peers[0].create(Object.fromEntries(members), rule === "arbiter" ? "n2" : "");
  await sync(peers);
  return peers;
}

/** Each is sent what the others have, until all have all. */
async function sync(peers) {
  for (let round = 0; round < 3; round += 1) {
    for (const from of peers) {
      for (const to of peers) {
        const changes = from.missing(to.clock).map(({ record }) => read(record));
        await to.receive(changes);
      }
    }
  }
}

/** Revoke or admit n3, with n1 and n2 in touch; who waits for a seal is given it. */
async function say([n1, n2], admits) {
  const said = n1.standing("n3", admits);
  await n1.see(() => null); // its turn is over
  await sync([n1, n2]);
  await said;
}

const tick = () => new Promise((done) => setTimeout(done, 5)); // clocks have milliseconds

async function views(peers) {
  const found = [];
  for (const each of peers) {
    found.push([await each.see((v) => v.elements()), await each.see((v) => v.rolledBack())]);
  }
  return found;
}

const refusal = (promise) => promise.then(() => "done", ({ code, message }) => code ?? message);

/** n3 adds 1, is cut off, adds 2, is revoked, adds 3; synced; admitted again, it adds 4. */
async function revoked(rule) {
  const peers = await three(rule);
  const [n1, n2, n3] = peers;
  await n3.add(1);
  await sync(peers);
  await n3.add(2);
  await tick();
  await say([n1, n2], false);
  await tick();
  await n3.add(3);
  const cut = await views(peers);
  await sync(peers);
  const healed = await views(peers);
  const refused = await refusal(n3.add(9));
  await say([n1, n2], true);
  await sync(peers);
  await n3.add(4);
  await sync(peers);
  const again = [];
  for (const name of ["n1", "n2", "n3"]) again.push(await peer(name, rule));
  const heads = new Set(again.map((each) => each.state().heads.join()));
  return { cut, healed, refused, admitted: await views(peers), restarted: await views(again),
    heads: heads.size, changes: again.map((each) => each.state().changes) };
}

/** What is not signed by its author, not by a member, or damaged on disk. */
async function forged() {
  const [n1, n2] = await three("causal", "forged");
  await n1.add(5);
  const [{ record }] = n1.missing(n2.clock);
  const other = read(new Signer(seed("stranger")).signed(Buffer.from(record.change, "base64")));
  const wrong = await refusal(n2.receive([other]));
  const right = await refusal(n2.receive([read(record)]));
  const twice = await refusal(n2.receive([read(record)]));
  await n1.add(6);
  await n1.add(7);
  const [, last] = n1.missing(n2.clock);
  const gap = await refusal(n2.receive([read(last.record)]));
  const admin = await refusal(n2.standing("n3", false));
  const nobody = await refusal(n1.standing("n9", false));
  const lines = (await readFile(n1.path, "utf8")).trimEnd().split("\n");
  await appendFile(n1.path, lines[0].slice(0, 50));
  const torn = (await peer("n1", "causal", "forged")).state().changes === lines.length;
  lines[2] = lines[2].replace(/"change":"...../, '"change":"AAAAA');
  await writeFile(n1.path, lines.join("\n") + "\n");
  const damaged = (await peer("n1", "causal", "forged")).state().changes;
  return { wrong, right, twice, gap, admin, nobody, torn, damaged };
}

const found = {};
for (const rule of ["naive", "causal", "arbiter"]) found[rule] = await revoked(rule);
found.forged = await forged();
console.log(JSON.stringify(found));
