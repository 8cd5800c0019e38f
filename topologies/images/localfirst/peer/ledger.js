// The changes a peer has, in the order in which it got them: a line of JSON each, in one file.
//
// Nothing is acknowledged, shown or sent before `append` has returned. A line that cannot be read
// ends the file: what comes after it depends on it, and is asked for anew from the other peers.

import { open, readFile } from "node:fs/promises";

export class Ledger {
  constructor(file, size) {
    this.file = file;
    this.size = size; // bytes that are known to be on disk
    this.torn = false; // whether there may be others after them
  }

  /** The ledger at `path`, and the records in it; `readable` throws for one that is damaged. */
  static async open(path, readable) {
    const file = await open(path, "a+");
    const text = await readFile(path);
    const records = [];
    let size = 0;
    for (let end; (end = text.indexOf("\n", size)) >= 0; size = end + 1) {
      try {
        const record = JSON.parse(text.toString("utf8", size, end));
        readable(record);
        records.push(record);
      } catch (error) {
        console.error(`ledger: cut at byte ${size}: ${error.message}`);
        break;
      }
    }
    if (size < text.length) await file.truncate(size);
    await file.datasync();
    return { ledger: new Ledger(file, size), records };
  }

  /** Put records on disk, or throw: then they are not among what the next ones come after. */
  async append(records) {
    const text = Buffer.from(records.map((record) => JSON.stringify(record) + "\n").join(""));
    if (this.torn) await this.file.truncate(this.size);
    this.torn = true; // until all is there
    await this.file.appendFile(text);
    await this.file.datasync();
    this.torn = false;
    this.size += text.length;
  }
}
