// A first look at a mail in the browser: which links stand in it, as far as can be told without a server.
//
// The server reads with the encoder's own eyes and has the last word. This reader is small on purpose: it misses rare
// things, and what it finds is only used to show malformed links before anything is sent.

const HEADER = /^(?:From [^\n]*\n)?[!-9;-~]+:[ \t]/;
const TAG = /<(?:!doctype|html|head|body|a|p|div|table|td|span|br|img)\b/i;
const HREF = /<(?:a|area|v:[a-z]+)\b[^>]{0,4000}?\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi;
const BARE_URL = /\bhttps?:[^\s<>"]+/gi;
const MERGE_TAG = /\{\{|\}\}|\{%|%\}|<%|%>|\*\||\|\*|%%|\[\[|[$#]\{|%(?![0-9A-Fa-f]{2})[A-Za-z][A-Za-z0-9_.]*%|^\[[A-Za-z][A-Za-z0-9_ -]*\]$/;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const MAX_DEPTH = 20;

export function guessKind(text) {
  const start = text.slice(0, 4096);
  if (HEADER.test(start) && /\r?\n\r?\n/.test(start)) return "message";
  return TAG.test(start) ? "html" : "text";
}

// Give the different URLs of a mail, each with what is known of it already: { url, skipped }.
export function findLinks(bytes, kind) {
  const documents = kind === "message" ? parts(latin1(bytes), 0) : [{ kind, text: decode(bytes, "utf-8") }];
  const urls = new Set(documents.flatMap((document) => (document.kind === "html" ? hrefs : bareUrls)(document.text)));
  return [...urls].map((url) => ({ url, skipped: MERGE_TAG.test(url) ? "merge tag" : url.startsWith("#") ? "inside the mail" : null }));
}

function hrefs(html) {
  return [...html.matchAll(HREF)].map(([, double, single, bare]) => unescapeHtml(double ?? single ?? bare));
}

function bareUrls(text) {
  return [...text.matchAll(BARE_URL)].map(([url]) => url.replace(/[.,:;!?'*_~)\]]+$/, ""));
}

function unescapeHtml(text) {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|([a-z]+));?/gi, (whole, hex, decimal, name) => {
    if (name) return ENTITIES[name] ?? whole;
    const code = hex ? parseInt(hex, 16) : Number(decimal);
    return code > 0 && code < 0x110000 ? String.fromCodePoint(code) : "\ufffd";
  });
}

// Give the text parts of a message (RFC 2045), which comes as one character a byte.
function parts(raw, depth) {
  const cut = /\r?\n\r?\n/.exec(raw);
  const headers = (cut ? raw.slice(0, cut.index) : raw).replace(/\r?\n[ \t]+/g, " ");
  const body = cut ? raw.slice(cut.index + cut[0].length) : "";
  const type = header(headers, "content-type") || "text/plain";
  const boundary = parameter(type, "boundary");
  if (/^multipart\//i.test(type) && boundary && depth < MAX_DEPTH) {
    const line = `(?:^|\\r?\\n)--${escapeRegExp(boundary)}`;
    const [inside] = body.split(new RegExp(`${line}--`));
    const [, ...pieces] = inside.split(new RegExp(`${line}[ \\t]*(?=\\r?\\n|$)`));
    return pieces.flatMap((piece) => parts(piece.replace(/^\r?\n/, ""), depth + 1));
  }
  const kind = /^text\/html\b/i.test(type) ? "html" : /^text\/plain\b/i.test(type) ? "text" : null;
  if (!kind || /^attachment\b/i.test(header(headers, "content-disposition"))) return [];
  return [{ kind, text: decode(untransfer(body, header(headers, "content-transfer-encoding")), parameter(type, "charset")) }];
}

function escapeRegExp(text) {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function header(headers, name) {
  return new RegExp(`^${name}[ \\t]*:[ \\t]*([^\\r\\n]*)`, "im").exec(headers)?.[1].trim() ?? "";
}

function parameter(value, name) {
  const found = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^\\s;]+))`, "i").exec(value);
  return found?.[1] ?? found?.[2] ?? "";
}

function untransfer(body, encoding) {
  if (/^base64$/i.test(encoding)) {
    try {
      return bytesOf(atob(body.replace(/[^A-Za-z0-9+/=]/g, "")));
    } catch {
      return new Uint8Array();
    }
  }
  if (!/^quoted-printable$/i.test(encoding)) return bytesOf(body);
  const joined = body.replace(/[ \t]+(?=\r?$)/gm, "").replace(/=\r?\n/g, "");
  return bytesOf(joined.replace(/=([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16))));
}

function decode(bytes, charset) {
  try {
    return new TextDecoder(charset || "utf-8").decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes); // a charset that no browser knows
  }
}

function latin1(bytes) {
  const CHUNK = 0x8000; // as many arguments as a call safely takes
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return text;
}

function bytesOf(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function toBase64(bytes) {
  return btoa(latin1(bytes));
}
