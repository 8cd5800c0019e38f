// Three rules about whose edits a peer shows. All changes are kept, whatever the rule says of them.
//
// A rule is told every change (`learn`) in the order in which it came, and answers with the members
// whose edits must be judged again. `takes` judges an edit, here or about to be made; `member` says
// who may edit now. "Standing" is what admins have said of a member: admitted, or revoked.

import { precedes } from "./history.js";

/** As many applications have it: an edit is taken if its author is a member when it arrives, or
 * was one at the time that the edit says it was made. Each peer decides once, for itself. */
class Naive {
  constructor() {
    this.revoked = new Map(); // member → when, by the clock of the admin who said so
  }

  learn(entry) {
    if (entry.does === "standing" && entry.admits) this.revoked.delete(entry.member);
    if (entry.does === "standing" && !entry.admits) this.revoked.set(entry.member, entry.time);
    return [];
  }

  takes(edit) {
    const since = this.revoked.get(edit.author);
    return since === undefined || edit.time < since;
  }

  member(name) {
    return !this.revoked.has(name);
  }
}

/** An edit counts unless its author's revocation precedes it in the causal order. Peers that have
 * the same changes show the same; an edit made beside the revocation counts, however late it was. */
class Causal {
  constructor() {
    this.standing = new Map(); // member → entries
  }

  learn(entry) {
    if (entry.does === "standing") {
      this.standing.set(entry.member, [...(this.standing.get(entry.member) ?? []), entry]);
    }
    return [];
  }

  takes(edit) {
    return this.good((this.standing.get(edit.author) ?? []).filter((said) => precedes(said, edit)));
  }

  member(name) {
    return this.good(this.standing.get(name) ?? []);
  }

  /** Whether the last of these all admit: of what was said at once, a revocation wins. */
  good(said) {
    const last = said.filter((a) => !said.some((b) => a !== b && precedes(a, b)));
    return last.every((entry) => entry.admits);
  }
}

/** One peer, the arbiter, puts what admins say in an order: it seals each, once it has it. An edit
 * counts if its author was a member by that order: it knows of the seal that admitted its author,
 * if there was one, and precedes the seal that revoked it, if there is one. So what the arbiter did
 * not have when it sealed a revocation is rolled back at every peer, whatever its author knew. */
class Arbiter {
  constructor(history) {
    this.history = history;
    this.sealed = new Map(); // member → {seal, admits}, in the arbiter's order
  }

  learn(entry) {
    if (entry.does !== "seal") return [];
    const { member, admits } = this.history.byHash.get(entry.of);
    const decided = [...(this.sealed.get(member) ?? []), { seal: entry, admits }];
    this.sealed.set(member, decided.sort((a, b) => before(a.seal, b.seal)));
    return [member];
  }

  takes(edit) {
    let member = true;
    let since = null; // the seal that admitted it
    for (const { seal, admits } of this.sealed.get(edit.author) ?? []) {
      if (member && !admits && knows(edit, since) && precedes(edit, seal)) return true;
      if (!member && admits) since = seal;
      member = admits;
    }
    return member && knows(edit, since);
  }

  member(name) {
    return this.sealed.get(name)?.at(-1).admits ?? true;
  }
}

function knows(edit, seal) {
  return seal === null || precedes(seal, edit);
}

/** The arbiter's order. It is the causal one; a peer that has lost its disk may have sealed again
 * before it knew all that it had sealed, and then the hashes decide. */
function before(a, b) {
  const size = (entry) => Object.values(entry.vector).reduce((sum, seq) => sum + seq, 0);
  return size(a) - size(b) || (a.hash < b.hash ? -1 : 1);
}

const RULES = { naive: Naive, causal: Causal, arbiter: Arbiter };

/** What a peer shows by one rule: the elements of edits that count, and of those that do not. */
export class View {
  constructor(rule, history) {
    this.rule = new RULES[rule](history);
    this.history = history;
    this.edits = new Map(); // element → {entry, taken}[]
    this.byAuthor = new Map();
  }

  /** Take note of a change. */
  learn(entry) {
    if (entry.does === "edit") {
      const edit = { entry, taken: this.rule.takes(entry) };
      push(this.edits, entry.element, edit);
      push(this.byAuthor, entry.author, edit);
    }
    for (const member of this.rule.learn(entry)) {
      for (const edit of this.byAuthor.get(member) ?? []) edit.taken = this.rule.takes(edit.entry);
    }
  }

  /** The elements, in order. */
  elements() {
    return this.list((edits) => edits.some(({ taken }) => taken));
  }

  /** Elements that are in the document and are not shown, in order. */
  rolledBack() {
    return this.list((edits) => !edits.some(({ taken }) => taken));
  }

  /** The names of those who may edit, in order, admins first. */
  members() {
    const { members } = this.history;
    const admins = (name) => (members[name].admin ? 0 : 1);
    return Object.keys(members)
      .filter((name) => this.rule.member(name))
      .sort((a, b) => admins(a) - admins(b) || (a < b ? -1 : 1));
  }

  list(chosen) {
    const found = [];
    for (const [element, edits] of this.edits) if (chosen(edits)) found.push(element);
    return found.sort((a, b) => a - b);
  }
}

function push(map, key, value) {
  if (map.has(key)) map.get(key).push(value);
  else map.set(key, [value]);
}
