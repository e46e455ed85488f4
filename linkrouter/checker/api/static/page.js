// The page on which an author watches the links of a mail being checked: what is pasted, dropped, and asked for.

import { Refusal } from "./api.js";
import { announce, endProgress, sayAloud } from "./banner.js";
import { findLinks, guessKind, listed, toBase64 } from "./mail.js";
import { compileRules, findMalformed } from "./malformed.js";
import { Memory } from "./memory.js";
import { Result } from "./result.js";
import { firstLook } from "./words.js";

const TOKEN = "linkrouter.token";
const MAX_BYTES = 10 * 1024 ** 2;
const LOOK_AFTER_MS = 250; // of no typing

const $ = (id) => document.getElementById(id);
const isSignedIn = Boolean($("framed")); // the page stands in the dashboard's frame, and the session is shown instead
const table = await (await fetch("/check/rules.json")).json();
const rules = compileRules(table);
const memory = new Memory(table.version);
const result = new Result(memory);

let file = null; // { name, bytes } of a dropped or chosen file; else the text field counts
let current = null; // the AbortController of the check under way

function mail() {
  const bytes = file ? file.bytes : new TextEncoder().encode($("content").value);
  const chosen = $("kind").value;
  const kind = chosen === "guess" ? guessKind(new TextDecoder("latin1").decode(bytes.subarray(0, 65536))) : chosen;
  return { bytes, kind };
}

// The first look: no request is made.
function look() {
  stop();
  const given = mail();
  $("result").hidden = given.bytes.length === 0;
  if (given.bytes.length === 0) return;
  const found = findLinks(given.bytes, given.kind).map(judge);
  const malformed = found.filter((link) => link.verdict === "malformed").length;
  const remembered = found.filter((link) => link.at).length;
  result.look(given, found, firstLook(found.length, malformed, remembered), malformed ? "look" : "");
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
  const token = isSignedIn ? "" : $("token").value.trim();
  const given = mail();
  if (!token && !isSignedIn) return complain("token-error", "A check needs a token. Ask whoever runs this centre for one.", "token");
  if (given.bytes.length === 0) return complain("content-error", "There is nothing to check yet.", "content");
  if (given.bytes.length > MAX_BYTES) return complain("content-error", "It is larger than 10 MB.", "content");
  const controller = new AbortController();
  current = controller;
  try {
    result.begin(given);
    await result.watch(token, asked(given), controller.signal);
    if (token) sessionStorage.setItem(TOKEN, token);
  } catch (error) {
    if (!controller.signal.aborted) explain(error);
  } finally {
    if (current === controller) stop();
  }
}

// A message goes as its bytes: it may hold any charset. What was bad in a check before is asked for anew.
function asked({ bytes, kind }) {
  const text = new TextDecoder().decode(bytes);
  const content = kind === "message" ? toBase64(bytes) : kind === "urls" ? listed(text) : text;
  return { [kind]: content, images: true, ...(result.isAgain(findLinks(bytes, kind)) ? { fresh: "findings" } : {}) };
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
    if (isSignedIn) return complain("content-error", "You are signed out. Open this page again to sign in.", "content");
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
