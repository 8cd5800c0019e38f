// The changes of a document as a graph: who made each, what it does, and what came before what.
//
// A vector clock (actor → number of its last change) says which changes precede one: Automerge
// numbers an actor's changes from 1 on, and each depends on all before it.

const PAGES = 64; // of elements: see `created`

/** What a new document holds, for `Automerge.change`. */
export function created(document, members, arbiter) {
  document.members = members; // name → {key, admin}
  document.arbiter = arbiter; // name, "" for none
  document.standing = {}; // name → whether it was admitted or revoked, once either was done
  document.seals = {}; // change of standing → true, once the arbiter has put it in order
  // An element is a key of a page. The pages are made with the document, because of two nested
  // maps made at once by two peers one would hide the other; there are several because Automerge
  // copies a map whenever it changes.
  document.pages = Array.from({ length: PAGES }, () => ({}));
}

/** The page that an element is on. */
export function pageOf(element) {
  return element % PAGES;
}

export class History {
  /** `objects`: object id → "page", "standing" or "seals"; `members`: name → {key, admin}. */
  constructor(objects, members, arbiter) {
    this.objects = objects;
    this.members = members;
    this.arbiter = arbiter;
    this.names = new Map(Object.entries(members).map(([name, { key }]) => [key, name]));
    this.entries = []; // in the order in which they came
    this.byHash = new Map();
    this.byActor = new Map(); // actor → its changes, in order
    this.clock = {}; // what is here
  }

  /** Whether the change is here already. */
  has(change) {
    return (this.clock[change.actor] ?? 0) >= change.seq;
  }

  /** Throws unless the change can come next: of a member, and all that it depends on is here. */
  check(change) {
    if (!this.names.has(change.key)) throw new Error(`no member has the key ${change.key}`);
    const lacks = change.deps.filter((hash) => !this.byHash.has(hash));
    if (lacks.length || change.seq !== (this.clock[change.actor] ?? 0) + 1) {
      throw new Error(`change ${change.hash.slice(0, 8)} came before what it depends on`);
    }
  }

  /** Take up a change; the entry that stands for it. */
  add(change) {
    const vector = { [change.actor]: change.seq };
    for (const hash of change.deps) {
      for (const [actor, seq] of Object.entries(this.byHash.get(hash).vector)) {
        vector[actor] = Math.max(vector[actor] ?? 0, seq);
      }
    }
    const { record, hash, actor, seq, time } = change;
    const author = this.names.get(change.key);
    const place = this.entries.length;
    const entry = { record, hash, actor, seq, time, author, vector, place, ...this.deed(change) };
    this.entries.push(entry);
    this.byHash.set(hash, entry);
    if (!this.byActor.has(actor)) this.byActor.set(actor, []);
    this.byActor.get(actor).push(entry);
    this.clock[actor] = seq;
    return entry;
  }

  /** What a change does: one thing, or `nothing` that a peer of ours would do. */
  deed({ ops, key }) {
    const [{ obj, key: name, value }] = ops.length === 1 ? ops : [{}];
    const author = this.names.get(key);
    switch (this.objects.get(obj)) {
      case "page":
        return { does: "edit", element: Number(name) };
      case "standing": // of what is said about members, only what an admin says counts
        return this.members[author]?.admin
          ? { does: "standing", member: name, admits: value }
          : { does: "nothing" };
      case "seals":
        return author === this.arbiter ? { does: "seal", of: name } : { does: "nothing" };
      default:
        return { does: "nothing" };
    }
  }

  /** The entries that who has `clock` lacks, each after those it depends on. */
  missing(clock) {
    const found = [];
    for (const [actor, entries] of this.byActor) found.push(...entries.slice(clock[actor] ?? 0));
    return found.sort((a, b) => a.place - b.place);
  }

  /** How many those are. */
  behind(clock) {
    return Object.entries(this.clock).reduce(
      (sum, [actor, seq]) => sum + Math.max(0, seq - (clock[actor] ?? 0)),
      0,
    );
  }
}

/** Whether change `a` came before `b` in the causal order, or is `b`. */
export function precedes(a, b) {
  return (b.vector[a.actor] ?? 0) >= a.seq;
}
