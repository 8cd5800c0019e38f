// What clients and operators ask of a peer, over HTTP; answers are JSON.
//
//   GET  /health                 {name, key, time_ms}
//   GET  /state                  {name, heads, members, changes, rule, relay, unsynced}
//   PUT  /document               {members: {name: {key, admin}}, arbiter} begins the document
//   POST /elements               {element} adds it, as the peer's owner
//   GET  /elements, /members, /rolled-back    lists
//   POST /members                {member, admits} admits or revokes
//   POST /measure                {answer_bytes}, and whatever else: so many bytes
//
// An answer that says no is {error, message}; its status says of which kind.

import { Refused } from "./replica.js";

const STATUS = {
  "no-document": 503,
  revoked: 403,
  "not-a-member": 403,
  "not-admin": 403,
  "unknown-member": 404,
  "is-admin": 409,
  "cannot-store": 507,
  malformed: 400,
  "no-such-thing": 404,
};

/** Have `server` answer for a peer. */
export function serve(server, { replica, links, signer, relay }) {
  const name = replica.name;
  server.keepAliveTimeout = 0; // a client's connection is its own to end
  server.requestTimeout = 0;

  const things = {
    "GET /health": () => ({ name, key: signer.key, time_ms: Date.now() }),
    "GET /state": () => ({
      ...replica.state(),
      rule: replica.rule,
      relay,
      unsynced: links.unsynced(),
    }),
    "PUT /document": ({ members, arbiter }) => replica.create(members, arbiter),
    "POST /elements": ({ element }) => replica.add(wholeNumber(element)),
    "GET /elements": () => replica.see((view) => view.elements()),
    "GET /members": () => replica.see((view) => view.members()),
    "GET /rolled-back": () => replica.see((view) => view.rolledBack()),
    "POST /members": ({ member, admits }) => replica.standing(member, admits === true),
    "POST /measure": ({ answer_bytes }) => "x".repeat(wholeNumber(answer_bytes)),
  };

  async function answer(request, response) {
    try {
      const body = await received(request);
      const thing = things[`${request.method} ${request.url}`];
      if (!thing) throw new Refused("no-such-thing", `${request.method} ${request.url}`);
      say(response, 200, (await thing(body)) ?? {});
    } catch (error) {
      const code = error instanceof Refused ? error.code : "internal";
      if (code === "internal") console.error(error);
      say(response, STATUS[code] ?? 500, { error: code, message: error.message });
    }
  }

  server.on("request", answer);
}

async function received(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  if (!text) return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refused("malformed", error.message);
  }
}

function wholeNumber(value) {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Refused("malformed", `expected a whole number, got ${JSON.stringify(value)}`);
}

function say(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(text);
}
