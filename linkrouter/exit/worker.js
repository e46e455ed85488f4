// Serves tracked links on Node, Deno, Bun and edge workers: this file alone, with the keys within. Keep it secret.
//
//     node worker.js 127.0.0.1:8080  ·  deno serve worker.js  ·  bun run worker.js  ·  any `export default {fetch}`
//
// Promise: a genuine link gets the answer that linkrouter's router gives; no click is recorded, nothing is logged.
// Formats: docs/wire-format.md and docs/take-backs.md of linkrouter.

const KEYS = [];
const RULES = [];

const MAX_PATH_CHARS = 8000;
const MAX_DESTINATION_CHARS = 4096;
const MAX_CACHED_KEYS = 4096;

const LINK = /^\/(2s?)\/([A-Za-z0-9\-._~:@/%]+)\/([A-Za-z0-9_-]+)\/([A-Za-z0-9_-]+)\/([A-Za-z0-9_-]{15})$/;
const ABSOLUTE_FORM = /^https?:\/\/[^/]*/i;
const REDIRECTABLE = /^https?:\/\/(?:\[[0-9a-fA-F:.]+\]|[!"$-.0-9;->A-Z^-~]+)(?::[0-9]{1,5})?(?:[/?#][!-[\]-~]*)?$/;
const PLAIN = /^[A-Za-z0-9\-._~:@]$/; // never escaped; a slash may be
const FIELDS = "action at id key match tag tenant to";
const ACTIONS = ["stop", "replace", "lift"];
const MATCH_BYTES = { link: [1, 16], message: [8, 8], destination: [16, 16], origin: [16, 16] };

const utf8 = new TextEncoder();

// Bytes and their spellings

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Reads the one canonical spelling of base64url without padding; null for every other. */
function unBase64url(text) {
  if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return null;
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
  return base64url(bytes) === text ? bytes : null;
}

/** Unsigned LEB128 in its shortest form. */
function varint(number) {
  const out = [];
  for (; number > 0x7f; number = Math.floor(number / 128)) out.push((number % 128) + 128);
  return [...out, number];
}

function sameText(left, right) {
  let differs = left.length ^ right.length;
  for (let place = 0; place < left.length; place++) differs |= left.charCodeAt(place) ^ right.charCodeAt(place);
  return differs === 0;
}

// Keys

const secrets = new Map(
  KEYS.filter((key) => key.state !== "revoked").map((key) => [key.id, unBase64url(key.secret.replace(/=+$/, ""))]),
);
const derived = new Map();

/** HKDF-SHA-256 (RFC 5869) with an empty salt: the HMAC key of one purpose, key and tenant. */
async function deriveKey(purpose, keyId, tenant) {
  const info = new Uint8Array([...utf8.encode(purpose), ...varint(tenant)]);
  const secret = await crypto.subtle.importKey("raw", secrets.get(keyId), "HKDF", false, ["deriveBits"]);
  const options = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
  const bits = await crypto.subtle.deriveBits(options, secret, 256);
  return crypto.subtle.importKey("raw", bits, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

async function code(purpose, keyId, tenant, signed, size) {
  const name = `${purpose} ${keyId} ${tenant}`;
  if (derived.size >= MAX_CACHED_KEYS) derived.clear();
  if (!derived.has(name)) derived.set(name, deriveKey(purpose, keyId, tenant));
  const mac = await crypto.subtle.sign("HMAC", await derived.get(name), utf8.encode(signed));
  return base64url(new Uint8Array(mac).subarray(0, size));
}

// Links

/** Gives [key id, tenant], or null. */
function readMeta(text) {
  const bytes = unBase64url(text);
  if (bytes === null || bytes.length === 0 || bytes[0] & 0x80 || !(bytes[0] & 0x0f)) return null;
  const rest = [...bytes.subarray(1)];
  if (!(bytes[0] & 0x40)) return rest.length === 0 ? [bytes[0] & 0x0f, 0] : null;
  const tenant = rest.slice(0, 5).reduce((sum, byte, place) => sum + (byte & 0x7f) * 128 ** place, 0);
  const isShortest = tenant >= 1 && tenant < 2 ** 32 && varint(tenant).join() === rest.join();
  return isShortest ? [bytes[0] & 0x0f, tenant] : null;
}

/** Undoes the escapes of a target; null when one is cut, in lower case or of what is never escaped. */
function readTarget(target) {
  let isSpelledRight = true;
  const rest = target.replace(/%([0-7][0-9A-F])?/g, (_, hex) => {
    const char = hex === undefined ? "" : String.fromCharCode(Number.parseInt(hex, 16));
    if (char === "" || PLAIN.test(char)) isSpelledRight = false;
    return char;
  });
  return isSpelledRight ? rest : null;
}

/** Gives {destination, linkId, tenant} of the genuine link at a path; null for every other path. */
async function openLink(path) {
  const found = path.length <= MAX_PATH_CHARS ? LINK.exec(path) : null;
  if (found === null) return null;
  const [, version, target, metaText, linkId, tag] = found;
  const meta = readMeta(metaText);
  const idBytes = unBase64url(linkId);
  const rest = readTarget(target);
  if (meta === null || idBytes === null || idBytes.length > 16 || rest === null || !secrets.has(meta[0])) return null;
  const signed = path.slice(0, -tag.length - 1);
  if (!sameText(await code("linkrouter link v2", ...meta, signed, 11), tag)) return null;
  const destination = (version === "2s" ? "https://" : "http://") + rest;
  if (destination.length > MAX_DESTINATION_CHARS || !REDIRECTABLE.test(destination)) return null;
  return { destination, linkId, tenant: meta[1] };
}

// Take-backs. They are sorted by what they match when this file is loaded, and verified when a link asks for them.

function isRule(rule) {
  if (typeof rule !== "object" || rule === null || Object.keys(rule).sort().join(" ") !== FIELDS) return false;
  const { id, tenant, match, action, to, at, key, tag } = rule;
  const isWhole = (value, end) => Number.isSafeInteger(value) && value >= 0 && value < end;
  if (!isWhole(tenant, 2 ** 32) || !isWhole(at, 2 ** 53) || !secrets.has(key)) return false;
  if (unBase64url(id)?.length !== 16 || unBase64url(tag)?.length !== 16 || typeof match !== "string") return false;
  const [kind, value] = [match.split(":", 1)[0], match.slice(match.indexOf(":") + 1)];
  const [least, most] = Object.hasOwn(MATCH_BYTES, kind) ? MATCH_BYTES[kind] : [1, 0];
  const size = unBase64url(value)?.length ?? 0;
  if (size < least || size > most) return false;
  return ACTIONS.includes(action) && typeof to === "string" && (action === "replace") === (to !== "");
}

const byMatch = new Map(); // tenant, key and match: rules
const hashing = new Map(); // tenant and kind: ids of the keys that hashed
for (const rule of RULES.filter(isRule)) {
  const kind = rule.match.split(":", 1)[0];
  const isHashed = kind === "destination" || kind === "origin";
  const place = `${rule.tenant} ${isHashed ? rule.key : "-"} ${rule.match}`;
  byMatch.set(place, [...(byMatch.get(place) ?? []), rule]);
  const name = `${rule.tenant} ${kind}`;
  if (isHashed) hashing.set(name, (hashing.get(name) ?? new Set()).add(rule.key));
}

/** Gives the destination of a rule that verifies, "" when it leads nowhere, null when it is not genuine. */
async function openRule(rule) {
  const { id, tenant, match, action, to, at, key, tag } = rule;
  const signed = ["linkrouter take-back v1", id, tenant, match, action, to, at].join("\n");
  if (!sameText(await code("linkrouter take-back v1", key, tenant, signed, 16), tag)) return null;
  if (action !== "replace") return "";
  const link = await openLink(to);
  return link !== null && link.tenant === tenant ? link.destination : null;
}

function isNewerFirst(left, right) {
  return right.at - left.at || (right.id < left.id ? -1 : 1);
}

/** Gives [action, destination] of the newest genuine rule at some places; null when there is none, or a lift. */
async function newestRule(places) {
  const rules = places.flatMap((place) => byMatch.get(place) ?? []).sort(isNewerFirst);
  for (const rule of rules) {
    const destination = await openRule(rule);
    if (destination !== null) return rule.action === "lift" ? null : [rule.action, destination];
  }
  return null;
}

async function hashedPlaces(tenant, kind, value) {
  const keys = [...(hashing.get(`${tenant} ${kind}`) ?? [])];
  const hash = (key) => code("linkrouter take-back match v1", key, tenant, `${kind}:${value}`, 16);
  return Promise.all(keys.map(async (key) => `${tenant} ${key} ${kind}:${await hash(key)}`));
}

/** Gives [action, destination] of the newest rule of the most exact match that has one, or null. */
async function findRule({ destination, linkId, tenant }) {
  if (byMatch.size === 0) return null;
  const idBytes = unBase64url(linkId);
  const message = idBytes.length > 8 ? [`${tenant} - message:${base64url(idBytes.subarray(0, 8))}`] : [];
  const [origin] = /^https?:\/\/[^/?#]*/.exec(destination);
  return (
    (await newestRule([`${tenant} - link:${linkId}`])) ??
    (await newestRule(message)) ??
    (await newestRule(await hashedPlaces(tenant, "destination", destination))) ??
    (await newestRule(await hashedPlaces(tenant, "origin", origin)))
  );
}

// Answers

const COMMON = {
  "Cache-Control": "private, no-store",
  "Referrer-Policy": "no-referrer",
  "X-Robots-Tag": "noindex, nofollow",
};

function page(status, body, headers = {}) {
  const type = `text/${body.startsWith("<") ? "html" : "plain"}; charset=utf-8`;
  const all = { ...COMMON, ...headers, "Content-Type": type, "X-Content-Type-Options": "nosniff" };
  return { status, headers: { ...all, "Content-Length": `${body.length}` }, body };
}

function html(title, text) {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em}</style>
<h1>${title}</h1>
<p>${text}</p>
</html>
`;
}

const CUT_OFF =
  "It may have been cut off on its way to you. Try opening it from the original message, or ask whoever sent it.";
const NOT_FOUND = page(404, html("This link does not work", CUT_OFF));
const STOPPED = page(410, html("This link was withdrawn", "This link was withdrawn by its sender."));
const NOT_ALLOWED = page(405, html("Links can only be followed", "This address answers to GET and HEAD."), {
  Allow: "GET, HEAD",
});
const OWN_PATHS = new Map([
  ["/-/ready", page(200, "ready\n")],
  ["/robots.txt", page(200, "User-agent: *\nDisallow: /\n")],
]);

/** Gives status, headers and body of the answer to a method and a raw request target. */
async function answer(method, target) {
  if (method !== "GET" && method !== "HEAD") return NOT_ALLOWED;
  const link = await openLink(target.split(/[?#]/, 1)[0].replace(ABSOLUTE_FORM, ""));
  if (link === null) return OWN_PATHS.get(target) ?? NOT_FOUND;
  const [action, replacement] = (await findRule(link)) ?? ["", ""];
  if (action === "stop") return STOPPED;
  const location = action === "replace" ? replacement : link.destination;
  return { status: 302, headers: { ...COMMON, "Content-Length": "0", Location: location }, body: "" };
}

export default {
  async fetch(request) {
    const url = new URL(request.url);
    const { status, headers, body } = await answer(request.method, url.pathname + url.search);
    return new Response(request.method === "HEAD" || body === "" ? null : body, { status, headers });
  },
};

async function serveOnNode(host, port) {
  const { createServer } = await import("node:http");
  const server = createServer(async (request, response) => {
    const { status, headers, body } = await answer(request.method, request.url);
    response.writeHead(status, headers).end(request.method === "HEAD" ? undefined : body);
  });
  server.listen(Number(port), host);
}

const isNode = typeof process === "object" && process.release?.name === "node" && !("Bun" in globalThis);
if (isNode && process.argv[1] && import.meta.url === new URL(`file://${process.argv[1]}`).href && process.argv[2]) {
  const [, host, port] = /^(.+):([0-9]+)$/.exec(process.argv[2]);
  await serveOnNode(host, port);
}
