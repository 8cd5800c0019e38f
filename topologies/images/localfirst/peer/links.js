// Links to other peers, over WebSockets: each end sends what the other lacks, as soon as it has it.
//
// Messages are JSON: {name, have} at first and as a heartbeat, where `have` is the sender's vector
// clock; {changes} with signed changes, each after those it depends on. What was sent on a link is
// not sent there again; a link that is made anew begins with what the other end says it has.

import { WebSocket, WebSocketServer } from "ws";
import { read } from "./changes.js";

const BATCH = 500; // changes in a message
const CONNECT_MS = 1000;

class Link {
  constructor(socket, replica) {
    this.socket = socket;
    this.replica = replica;
    this.name = ""; // of the peer at the other end, once it has said so
    this.heard = performance.now();
    this.has = {}; // vector clock: what the other end said it has
    this.known = null; // that, and what went over this link
    socket.on("message", (text) => this.message(text));
    socket.on("error", () => socket.terminate());
  }

  /** Say who we are, and how far. */
  greet() {
    this.send({ name: this.replica.name, have: this.replica.clock });
  }

  /** Take in a message; a link that sends what cannot be taken begins again. */
  async message(text) {
    this.heard = performance.now();
    try {
      const { name, have, changes } = JSON.parse(text);
      if (have) this.met(name, have);
      if (changes) await this.take(changes.map(read));
    } catch (error) {
      console.error(`link to ${this.name}: ${error.message}`);
      this.socket.terminate();
    }
  }

  met(name, have) {
    this.name = name;
    this.has = have;
    this.known ??= { ...have };
    this.push();
  }

  async take(changes) {
    this.went(changes);
    await this.replica.receive(changes);
  }

  /** Send what the other end lacks. */
  push() {
    if (!this.known || this.socket.readyState !== WebSocket.OPEN) return;
    const entries = this.replica.missing(this.known);
    for (let at = 0; at < entries.length; at += BATCH) {
      const batch = entries.slice(at, at + BATCH);
      this.send({ changes: batch.map(({ record }) => record) });
      this.went(batch);
    }
  }

  went(changes) {
    for (const { actor, seq } of changes) {
      this.known[actor] = Math.max(this.known[actor] ?? 0, seq);
    }
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

/** A peer's links: those it dials, `urls` by name, and those that others made to it. */
export class Links {
  constructor({ replica, server, urls, heartbeat_ms, silence_ms }) {
    Object.assign(this, { replica, urls, silence_ms });
    this.links = new Set();
    this.dialled = new Map(); // name → socket
    const accepting = new WebSocketServer({ server, path: "/sync" });
    accepting.on("connection", (socket) => this.join(socket));
    replica.on("grown", () => this.links.forEach((link) => link.push()));
    replica.on("lost", () => this.links.forEach((link) => link.socket.terminate()));
    setInterval(() => this.beat(), heartbeat_ms);
    this.beat();
  }

  /** The peers there is a link to, by name: how many changes of ours they have not said to have. */
  unsynced() {
    const named = [...this.links].filter(({ name }) => name);
    const behind = (link) => this.replica.history?.behind(link.has) ?? 0;
    return Object.fromEntries(named.map((link) => [link.name, behind(link)]));
  }

  join(socket) {
    const link = new Link(socket, this.replica);
    this.links.add(link);
    socket.on("close", () => this.links.delete(link));
    link.greet();
  }

  /** Tell every link that we are there, end those that are silent, dial those that are missing. */
  beat() {
    const now = performance.now();
    for (const link of this.links) {
      if (now - link.heard > this.silence_ms) link.socket.terminate();
      else link.greet();
    }
    for (const [name, url] of Object.entries(this.urls)) {
      if (!this.dialled.has(name)) this.dial(name, url);
    }
  }

  dial(name, url) {
    const socket = new WebSocket(url, { handshakeTimeout: CONNECT_MS });
    this.dialled.set(name, socket);
    socket.on("error", () => socket.terminate());
    socket.on("close", () => this.dialled.delete(name));
    socket.on("open", () => this.join(socket));
  }
}
