// One peer's copy of the document: what clients do to it, and what comes from other peers.
//
// All of it is done in turn. What one turn changes is put on disk together, and only then is
// anybody answered, told or shown anything of it, readers included.

import * as Automerge from "@automerge/automerge";
import { EventEmitter } from "node:events";
import { check, read } from "./changes.js";
import { History, created, pageOf } from "./history.js";
import { Ledger } from "./ledger.js";
import { View } from "./rules.js";

/** An answer that says no: nothing was done. */
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Emits "grown" when there are new changes, "lost" when some had to be forgotten. */
export class Replica extends EventEmitter {
  constructor({ name, rule, signer, path }) {
    super();
    this.setMaxListeners(0); // each revocation that waits for its seal is one
    Object.assign(this, { name, rule, signer, path });
    this.waiting = [];
    this.busy = false;
    this.clear();
  }

  /** Begin with what the ledger has. */
  async open() {
    const { ledger, records } = await Ledger.open(this.path, read);
    this.ledger = ledger;
    this.restore(records);
    return this;
  }

  restore(records) {
    this.clear();
    this.take(records.map(read));
    this.settled();
  }

  clear() {
    this.document = Automerge.init({ actor: this.signer.actor });
    this.history = null; // until there is a document
    this.view = null;
    this.unsealed = new Set(); // hashes of changes of standing
    this.settled();
  }

  /** All there is, is on disk. */
  settled() {
    this.fresh = []; // records of this turn
    this.clock = { ...this.history?.clock };
    this.stored = this.history?.entries.length ?? 0;
  }

  // What clients ask for.

  /** Begin the document, once: `members` is name → {key, admin}. */
  create(members, arbiter) {
    return this.turn(() => {
      if (!this.history) this.change((document) => created(document, members, arbiter));
    });
  }

  /** Add an element; `author` is always this peer's owner. */
  add(element) {
    return this.turn(() => {
      this.mayEdit();
      this.change(({ pages }) => {
        pages[pageOf(element)][element] = true;
      });
    });
  }

  /** Admit or revoke a member. By the rule `arbiter` that is done when the arbiter has sealed it. */
  async standing(member, admits) {
    const entry = await this.turn(() => {
      this.mayAdminister(member);
      if (this.view.members().includes(member) === admits) return null; // it is so already
      return this.change(({ standing }) => {
        standing[member] = admits;
      });
    });
    if (entry && this.rule === "arbiter") await this.sealed(entry.hash);
  }

  /** What `look` finds in the view. */
  see(look) {
    return this.turn(() => look(this.has().view));
  }

  /** What this peer says of itself; it waits for nothing. */
  state() {
    const heads = this.history ? Automerge.getHeads(this.document).sort() : [];
    const members = this.view?.members() ?? [];
    return { name: this.name, heads, members, changes: this.history?.entries.length ?? 0 };
  }

  // What comes from other peers.

  /** Take what is new of these changes. Throws where one does not belong here. */
  receive(changes) {
    return this.turn(() => this.take(changes, check));
  }

  /** What is on disk here and not there, where they have `clock`. */
  missing(clock) {
    return (this.history?.missing(clock) ?? []).filter(({ place }) => place < this.stored);
  }

  // How it is done.

  has() {
    if (!this.history) throw new Refused("no-document", "this peer has no document yet");
    return this;
  }

  mayEdit() {
    const { history, view } = this.has();
    if (!history.members[this.name]) throw new Refused("not-a-member", `${this.name} only relays`);
    const { actor } = this.signer;
    const seq = (history.clock[actor] ?? 0) + 1;
    const vector = { ...history.clock, [actor]: seq };
    if (!view.rule.takes({ author: this.name, actor, seq, vector, time: Date.now() })) {
      throw new Refused("revoked", `${this.name} is no longer a member`);
    }
  }

  mayAdminister(member) {
    const { members } = this.has().history;
    if (!members[this.name]?.admin) throw new Refused("not-admin", `${this.name} is no admin`);
    if (!members[member]) throw new Refused("unknown-member", `nobody is called ${member}`);
    if (members[member].admin) throw new Refused("is-admin", `${member} is an admin`);
  }

  /** Make, sign and take up a change of our own; its entry. */
  change(edit) {
    this.document = Automerge.change(this.document, { time: Date.now() }, edit);
    const change = read(this.signer.signed(Automerge.getLastLocalChange(this.document)));
    return this.note(change);
  }

  /** Take up changes that are new, up to the first that does not belong here. */
  take(changes, verify = () => {}) {
    const added = [];
    try {
      for (const change of changes) {
        if (this.history?.has(change)) continue;
        verify(change);
        if (this.history) {
          this.history.check(change);
          added.push(change.bytes);
        } else {
          [this.document] = Automerge.applyChanges(this.document, [change.bytes]);
        }
        this.note(change);
      }
    } finally {
      if (added.length) [this.document] = Automerge.applyChanges(this.document, added);
    }
  }

  note(change) {
    if (!this.history) this.begin(change);
    const entry = this.history.add(change);
    this.view.learn(entry);
    this.fresh.push(entry.record);
    if (entry.does === "standing") this.unsealed.add(entry.hash);
    if (entry.does === "seal") this.unsealed.delete(entry.of);
    return entry;
  }

  /** The first change made the document. */
  begin(change) {
    const { members, arbiter, pages, standing, seals } = this.document;
    if (!Object.values(members ?? {}).some(({ key, admin }) => admin && key === change.key)) {
      this.clear();
      throw new Error("expected a document that one of its admins has made");
    }
    const objects = new Map(pages.map((page) => [Automerge.getObjectId(page), "page"]));
    objects.set(Automerge.getObjectId(standing), "standing");
    objects.set(Automerge.getObjectId(seals), "seals");
    this.history = new History(objects, JSON.parse(JSON.stringify(members)), arbiter);
    this.view = new View(this.rule, this.history);
  }

  /** As the arbiter, put in order what admins said: after all that is here. */
  seal() {
    if (this.history?.arbiter !== this.name) return;
    for (const hash of [...this.unsealed]) {
      this.change(({ seals }) => {
        seals[hash] = true;
      });
    }
  }

  /** Until the arbiter has sealed a change of ours. */
  sealed(hash) {
    return new Promise((done) => {
      const look = () => {
        if (this.unsealed.has(hash)) return;
        this.off("grown", look);
        done();
      };
      this.on("grown", look);
      look();
    });
  }

  /** Do `work` when its turn comes, and answer with what it returned once that is on disk. */
  turn(work) {
    return new Promise((done, failed) => {
      this.waiting.push({ work, done, failed });
      if (!this.busy) void this.run();
    });
  }

  async run() {
    this.busy = true;
    while (this.waiting.length) {
      const tasks = this.waiting.splice(0);
      for (const task of tasks) {
        try {
          task.result = task.work();
        } catch (error) {
          task.error = error;
        }
      }
      this.seal();
      const error = await this.keep();
      for (const task of tasks) {
        if (error ?? task.error) task.failed(error ?? task.error);
        else task.done(task.result);
      }
    }
    this.busy = false;
  }

  /** Put what is fresh on disk; the error, after which all is as it was before this turn. */
  async keep() {
    const records = this.fresh;
    if (!records.length) return null;
    try {
      await this.ledger.append(records);
    } catch (error) {
      this.restore(this.history.entries.slice(0, this.stored).map(({ record }) => record));
      this.emit("lost");
      return new Refused("cannot-store", error.message);
    }
    this.settled();
    this.emit("grown");
    return null;
  }
}
