// A first look at a mail in the browser: which links stand in it, as far as can be told without a server.
//
// The server reads with the encoder's own eyes and has the last word. This reader is small on purpose: it misses rare
// things, and what it finds is only used to show malformed links before anything is sent.

const HEADER = /^[!-9;-~]+[ \t]*:/;
const KNOWN_HEADER = /^(?:from|to|cc|subject|date|message-id|mime-version|content-type|content-transfer-encoding|received|return-path|reply-to|sender|delivered-to|dkim-signature|list-unsubscribe|list-id)[ \t]*:/im;
const ROOT = /^(?:\s|<\?[^>]*>|<!--[^]{0,4000}?-->|<!DOCTYPE[^>]*>)*<([A-Za-z][A-Za-z0-9:-]*)/i;
const TAG = /<(?:!doctype|html|head|body|table|div|p|a|span|img|br|h[1-6])\b[^<]*>/i;
const MARKDOWN = /\]\((?:<|https?:|mailto:|\/|#|\.)|^ {0,3}\[[^\]\n]+\]:[ \t]*\S|^#{1,6} \S/im;
const INLINE = /\]\(\s*<?([^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)/g;
const HREF = /<(?:a|area|v:[a-z]+|mj-(?!font\b)[a-z-]+)\b[^>]{0,4000}?\shref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi;
const BARE_URL = /\bhttps?:[^\s<>"]+/gi;
const MERGE_TAG = /\{\{|\}\}|\{%|%\}|<%|%>|\*\||\|\*|%%|\[\[|[$#]\{|%(?![0-9A-Fa-f]{2})[A-Za-z][A-Za-z0-9_.]*%|^\[[A-Za-z][A-Za-z0-9_ -]*\]$/;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const MAX_DEPTH = 20;

// By the same rules as the server's `kinds.py`; one table of cases holds both.
export function guessKind(text) {
  const start = text.slice(0, 65536).replace(/^\ufeff|^\u00ef\u00bb\u00bf/, "");
  if (isMessage(start)) return "message";
  const root = ROOT.exec(start)?.[1].toLowerCase();
  if (root === "mjml" || root?.startsWith("mj-")) return "mjml";
  if (["rss", "feed", "rdf:rdf"].includes(root)) return "feed";
  if (isUrlList(start)) return "urls";
  if (!root && MARKDOWN.test(start)) return "markdown";
  return TAG.test(start) ? "html" : "text";
}

function isMessage(start) {
  const text = start.startsWith("From ") ? start.slice(start.indexOf("\n") + 1) : start;
  const blank = text.search(/\r?\n[ \t]*\r?\n/);
  return blank >= 0 && HEADER.test(text) && KNOWN_HEADER.test(text.slice(0, blank));
}

function isUrlList(start) {
  const lines = listed(start);
  return lines.some((line) => /^https?:/i.test(line)) && !lines.some((line) => /[ \t]/.test(line));
}

// Give the different URLs of an input, each with what is known of it already: { url, skipped }.
export function findLinks(bytes, kind) {
  const documents = kind === "message" ? parts(latin1(bytes), 0) : [{ kind, text: decode(bytes, "utf-8") }];
  const urls = new Set(documents.flatMap((document) => READERS[document.kind](document.text)));
  return [...urls].map((url) => ({ url, skipped: MERGE_TAG.test(url) ? "merge tag" : url.startsWith("#") ? "inside the mail" : null }));
}

// Give what a reader would see of a mail, or "" when it has no HTML.
export function htmlOf(bytes, kind) {
  if (kind === "html") return decode(bytes, "utf-8");
  if (kind !== "message") return "";
  return parts(latin1(bytes), 0).find((part) => part.kind === "html")?.text ?? "";
}

// Give the line of the source in which something stands, with the lines around it.
export function excerptOf(bytes, kind, { part, line }) {
  const documents = kind === "message" ? parts(latin1(bytes), 0) : [{ kind, text: decode(bytes, "utf-8") }];
  const found = documents.filter((document) => document.kind === part);
  if (found.length !== 1) return "";
  return found[0].text.split("\n").slice(Math.max(0, line - 2), line + 1).map((each) => each.slice(0, 300)).join("\n").trim();
}

const READERS = {
  html: hrefs,
  mjml: hrefs,
  text: bareUrls,
  feed: (text) => bareUrls(text.replace(/<[?!]?[^>]*xmlns[^>]*>/g, "")).map(unescapeHtml),
  markdown: (text) => [...[...text.matchAll(INLINE)].map(([, url]) => url), ...hrefs(text), ...bareUrls(text.replace(INLINE, "]"))],
  urls: listed,
};

// Give the lines of a list of URLs.
export function listed(text) {
  return text.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
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
