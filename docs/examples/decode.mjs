// Read a tracked link with nothing but docs/wire-format.md: node decode.mjs KEYS LINK
// Prints one JSON object, or `invalid` and exit 1. Any failure is the same, as for a router.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

const MAX_PATH = 8000;
const MAX_DESTINATION = 4096;
const PLAIN = /^[A-Za-z0-9\-._~:@/]$/;
const DESTINATION =
  /^https?:\/\/(?:\[[0-9a-f.:]+\]|[\x21\x22\x24-\x2e\x30-\x39\x3b-\x3e\x41-\x5a\x5d-\x7e]+)(?::[0-9]{1,5})?(?:[/?#][\x21-\x5b\x5d-\x7e]*)?$/;

class Invalid extends Error {}

function demand(condition) {
  if (!condition) throw new Invalid();
}

function mac(key, ...parts) {
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** Bytes of canonical base64url; a second spelling of the same bytes is refused. */
function unbase64url(text) {
  const bytes = Buffer.from(text, "base64url");
  demand(bytes.toString("base64url") === text);
  return bytes;
}

function varint(number) {
  const bytes = [];
  for (; number >= 128; number = Math.floor(number / 128)) bytes.push((number % 128) | 0x80);
  return Buffer.from([...bytes, number]);
}

function readMeta(text) {
  const bytes = unbase64url(text);
  demand(bytes.length >= 1 && bytes.length <= 6);
  const [flags] = bytes;
  demand((flags & 0x0f) !== 0 && (flags & 0x80) === 0);
  let tenant = 0;
  if (flags & 0x40) {
    for (let at = 1; at < bytes.length; at++) tenant += (bytes[at] & 0x7f) * 128 ** (at - 1);
    demand(tenant >= 1 && tenant <= 0xffffffff);
    demand(bytes.subarray(1).equals(varint(tenant)));
  } else demand(bytes.length === 1);
  return { keyId: flags & 0x0f, part: flags & 0x10 ? "text" : "html", countOnly: Boolean(flags & 0x20), tenant };
}

function unescapeTarget(target) {
  return target.replace(/%(..?)?/g, (whole, digits) => {
    demand(/^[0-9A-F]{2}$/.test(digits ?? ""));
    const character = String.fromCharCode(parseInt(digits, 16));
    demand(character <= "\x7f" && (character === "/" || !PLAIN.test(character)));
    return character;
  });
}

/** A slash is %2F exactly where a bare one would be folded; the encoder's rule, so that a link has one spelling. */
function escapeTarget(rest) {
  const segments = rest
    .replace(/[^A-Za-z0-9\-._~:@/]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"))
    .split("/");
  const folds = (segment) => segment === "" || segment === "." || segment === "..";
  return segments.reduce((done, next, at) => done + (folds(next) || folds(segments[at - 1]) ? "%2F" : "/") + next);
}

/** @param {string} path from "/2" on, undecoded; @param {Map<number, Buffer>} secrets of the keys that verify */
export function readLink(path, secrets) {
  path = path.replace(/[?#].*$/s, "");
  demand(path.length <= MAX_PATH && /^[A-Za-z0-9\-._~:@/%]+$/.test(path));
  const segments = path.split("/");
  demand(segments.length >= 6 && segments[0] === "");
  const [metaText, linkText, tag] = segments.slice(-3);
  const meta = readMeta(metaText);
  const secret = secrets.get(meta.keyId);
  demand(secret);
  const prk = mac(Buffer.alloc(32), secret);
  const key = mac(prk, "linkrouter link v2", varint(meta.tenant), Buffer.from([1]));
  const signed = path.slice(0, path.lastIndexOf("/"));
  const expected = Buffer.from(mac(key, signed).subarray(0, 11).toString("base64url"));
  demand(expected.length === Buffer.byteLength(tag) && timingSafeEqual(expected, Buffer.from(tag)));

  const scheme = { "2s": "https", 2: "http" }[segments[1]];
  demand(scheme);
  const target = segments.slice(2, -3).join("/");
  const rest = unescapeTarget(target);
  demand(escapeTarget(rest) === target);
  const url = `${scheme}://${rest}`;
  demand(url.length <= MAX_DESTINATION && DESTINATION.test(url));
  const linkId = unbase64url(linkText);
  demand(linkId.length >= 1 && linkId.length <= 16);
  return { url, key_id: meta.keyId, link_id: linkId.toString("hex"), part: meta.part, count_only: meta.countOnly, tenant: meta.tenant };
}

const [keyFile, ...links] = process.argv.slice(2);
const secrets = new Map(
  JSON.parse(readFileSync(keyFile, "utf8"))
    .keys.filter((key) => key.state !== "revoked")
    .map((key) => [key.id, Buffer.from(key.secret, "base64url")]),
);
for (const link of links) {
  try {
    console.log(JSON.stringify(readLink(link.replace(/^https?:\/\/[^/]*/i, ""), secrets)));
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    console.log("invalid");
    process.exitCode = 1;
  }
}
