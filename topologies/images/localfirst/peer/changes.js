// A signed change: one Automerge change and its author's Ed25519 signature of its bytes.
//
// The change carries its causal dependencies (the hashes of the changes before it), its author's
// number for it and what the author's clock said. Its actor is the author's public key and eight
// bytes drawn when the peer's process began: a peer that has lost the end of its ledger, or all of
// it, cannot number two changes alike.

import * as Automerge from "@automerge/automerge";
import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from "node:crypto";

const PKCS8_OF_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex"); // RFC 8410
const KEY_DIGITS = 64; // of a public key, in hexadecimal

/** A peer's own key, made from 32 bytes in hexadecimal. */
export class Signer {
  constructor(seed) {
    const der = Buffer.concat([PKCS8_OF_ED25519, Buffer.from(seed, "hex")]);
    this.private = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    const { x } = createPublicKey(this.private).export({ format: "jwk" });
    this.key = Buffer.from(x, "base64url").toString("hex");
    this.actor = this.key + randomBytes(8).toString("hex");
  }

  /** The change as it is kept and sent. */
  signed(bytes) {
    const signature = sign(null, bytes, this.private);
    return { change: Buffer.from(bytes).toString("base64"), signature: signature.toString("base64") };
  }
}

/** What a signed change says; its signature is not looked at. */
export function read(record) {
  const bytes = Buffer.from(record.change, "base64");
  const { hash, actor, seq, time, deps, ops } = Automerge.decodeChange(bytes);
  return { record, bytes, hash, actor, seq, time, deps, ops, key: actor.slice(0, KEY_DIGITS) };
}

const publicKeys = new Map(); // in hexadecimal → KeyObject

/** Throws unless its author has signed this change. */
export function check(change) {
  let key = publicKeys.get(change.key);
  if (!key) {
    const x = Buffer.from(change.key, "hex").toString("base64url");
    key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    publicKeys.set(change.key, key);
  }
  const signature = Buffer.from(change.record.signature, "base64");
  if (!verify(null, change.bytes, key, signature)) {
    throw new Error(`change ${change.hash.slice(0, 8)} is not signed by its author`);
  }
}
