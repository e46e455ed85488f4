// The page on which an author watches the links of a mail being checked.

import { Refusal, followCheck, startCheck } from "./api.js";
import { announce, endProgress, hold, progress, say, sayAloud } from "./banner.js";
import { findLinks, guessKind, listed, toBase64 } from "./mail.js";
import { compileRules, findMalformed } from "./malformed.js";
import { Memory } from "./memory.js";
import { Rows } from "./rows.js";
import { ended, firstLook, links, running } from "./words.js";

const TOKEN = "linkrouter.token";
const MAX_BYTES = 10 * 1024 ** 2;
const LOOK_AFTER_MS = 250; // of no typing
const SAY_EVERY_MS = 3000; // to a screen reader, while a check runs

const $ = (id) => document.getElementById(id);
const table = await (await fetch("/check/rules.json")).json();
const rules = compileRules(table);
const memory = new Memory(table.version);
const rows = new Rows($("links"), $("row"));

let file = null; // { name, bytes } of a dropped or chosen file; else the text field counts
let current = null; // the AbortController of the check under way
let saidAt = 0;
let painting = 0;

function mail() {
  const bytes = file ? file.bytes : new TextEncoder().encode($("content").value);
  const chosen = $("kind").value;
  const kind = chosen === "guess" ? guessKind(new TextDecoder("latin1").decode(bytes.subarray(0, 4096))) : chosen;
  return { bytes, kind };
}

// The first look: no request is made.
function look() {
  stop();
  const { bytes, kind } = mail();
  $("result").hidden = bytes.length === 0;
  if (bytes.length === 0) return;
  const found = findLinks(bytes, kind).map(judge);
  rows.show(found);
  const malformed = found.filter((link) => link.verdict === "malformed").length;
  const remembered = found.filter((link) => link.at).length;
  sayAloud(firstLook(found.length, malformed, remembered), malformed ? "look" : "");
  count();
}

function judge({ url, skipped }) {
  if (skipped) return { url, verdict: "skipped", reason: skipped };
  const rule = findMalformed(rules, url);
  if (rule) return { url, verdict: "malformed", reason: "malformed", detail: rule.says, advice: "Correct the link, or take it out." };
  return { url, ...(memory.recall(url) ?? { verdict: "unseen" }) };
}

async function check() {
  stop();
  complain("token-error", "");
  complain("content-error", "");
  const token = $("token").value.trim();
  const { bytes, kind } = mail();
  if (!token) return complain("token-error", "A check needs a token. Ask whoever runs this centre for one.", "token");
  if (bytes.length === 0) return complain("content-error", "There is nothing to check yet.", "content");
  if (bytes.length > MAX_BYTES) return complain("content-error", "It is larger than 10 MB.", "content");
  const controller = new AbortController();
  current = controller;
  try {
    await watch(token, asked(bytes, kind), controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) explain(error);
  } finally {
    if (current === controller) stop();
  }
}

// A message goes as its bytes: it may hold any charset.
function asked(bytes, kind) {
  const text = new TextDecoder().decode(bytes);
  return { [kind]: kind === "message" ? toBase64(bytes) : kind === "urls" ? listed(text) : text };
}

async function watch(token, request, signal) {
  begin();
  const begun = await startCheck(token, request, signal);
  sessionStorage.setItem(TOKEN, token);
  rows.show(begun.links);
  advance(begun.progress);
  announce(`Checking ${links(begun.progress.total)}.`);
  for await (const { name, data } of followCheck(token, begun.id, signal)) {
    if (signal.aborted) return;
    if (name === "link") {
      rows.update(data.index, data.link);
      begun.progress.done += data.link.complete;
      painting ||= requestAnimationFrame(() => advance(begun.progress));
    } else if (name === "done") {
      finish(data);
    }
  }
}

function begin() {
  $("result").hidden = false;
  $("links").setAttribute("aria-busy", "true");
  say({ headline: "Reading the mail…", explanation: "" }, "running");
  progress();
  const gentle = matchMedia("(prefers-reduced-motion: reduce)").matches;
  $("result").scrollIntoView({ block: "start", behavior: gentle ? "instant" : "smooth" });
}

function advance({ done, total }) {
  painting = 0;
  if (!current) return;
  const words = running({ done, total });
  progress(done, total);
  say(words, "running");
  count();
  if (Date.now() - saidAt < SAY_EVERY_MS) return;
  saidAt = Date.now();
  announce(words.explanation);
}

function finish(end) {
  const answer = end.state === "done" ? end.gate.answer : "wait";
  sayAloud(ended(end, rows.counts), answer === "send" && rows.findings ? "look" : answer);
  hold([...end.gate.blocks, ...(answer === "block" ? [] : end.gate.waits)]);
  count();
  rows.links.forEach((link) => memory.remember(link));
  memory.save();
}

function count() {
  $("filter").hidden = rows.links.length === 0;
  $("count-all").textContent = `(${rows.links.length})`;
  $("count-findings").textContent = `(${rows.findings})`;
}

function stop() {
  current?.abort();
  current = null;
  endProgress();
  $("links").setAttribute("aria-busy", "false");
}

function explain(error) {
  if (error instanceof Refusal && [401, 403].includes(error.status)) {
    $("result").hidden = true;
    return complain("token-error", "This token is not known here, or is not a sender’s.", "token");
  }
  if (error instanceof Refusal && [413, 422].includes(error.status)) {
    $("result").hidden = true;
    return complain("content-error", `It cannot be checked: ${error.message}.`, "content");
  }
  const reason = error instanceof TypeError ? "the server cannot be reached" : error.message;
  sayAloud({ headline: "The check did not get through", explanation: `${sentence(reason)}. Try again.` }, "wait");
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function complain(id, text, field) {
  $(id).textContent = text;
  $(id).hidden = !text;
  const input = id === "token-error" ? $("token") : $("content");
  input.setAttribute("aria-invalid", String(Boolean(text)));
  if (!field) return;
  announce(text);
  $(file && field === "content" ? "remove" : field).focus();
}

async function take(chosen) {
  complain("content-error", "");
  if (chosen.size > MAX_BYTES) return complain("content-error", `${chosen.name} is larger than 10 MB.`, "content");
  file = { name: chosen.name, bytes: new Uint8Array(await chosen.arrayBuffer()) };
  $("file-name").textContent = `${file.name}, ${Math.ceil(file.bytes.length / 1024).toLocaleString("en")} KB`;
  $("file-card").hidden = false;
  $("content").hidden = true;
  look();
}

function remove() {
  file = null;
  $("file").value = "";
  $("file-card").hidden = true;
  $("content").hidden = false;
  $("content").focus();
  look();
}

// What is copied from a mail program or a web page has its links only in the clipboard's HTML.
function paste(event) {
  const html = event.clipboardData.getData("text/html");
  const text = event.clipboardData.getData("text/plain");
  if (!/<a\s[^>]*href/i.test(html) || guessKind(text) !== "text") return;
  event.preventDefault();
  $("content").setRangeText(html, $("content").selectionStart, $("content").selectionEnd, "end");
  $("content").dispatchEvent(new InputEvent("input"));
}

let looking = 0;
$("content").addEventListener("input", () => {
  clearTimeout(looking);
  looking = setTimeout(look, LOOK_AFTER_MS);
});
$("content").addEventListener("paste", paste);
$("kind").addEventListener("change", look);
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(looking);
  check();
});
$("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => $("file").files.length && take($("file").files[0]));
$("remove").addEventListener("click", remove);
$("forget").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  memory.forget();
  $("token").value = "";
  $("token").focus();
  announce("The token and everything remembered of links is forgotten.");
});
$("filter").addEventListener("change", (event) => {
  $("links").classList.toggle("only-findings", event.target.value === "findings");
});

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dragging");
  if (!hasFiles(event)) return;
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});

$("token").value = sessionStorage.getItem(TOKEN) ?? "";
if ($("content").value) look(); // what the browser kept over a reload
$("check").disabled = false;
