// Figures are asked for again each minute while the page is looked at. When central does not answer, the last ones stay
// and are marked with their age: no figure is taken away, and none becomes 0.
import { ago, moment } from "/dashboard/static/words.js";

const EVERY_MS = 60_000;
const AGAIN_MS = 10_000; // while central does not answer
const WITHIN_MS = 120_000; // what counts millions of clicks one by one takes seconds
const notice = document.getElementById("stale");
const age = document.getElementById("age");
const whole = document.getElementById("pending")?.dataset.whole; // a page that came without its figures
const parts = () => [...document.querySelectorAll("[data-figures]")];
const seen = new Map(); // what central last sent for each part, before it was written in the reader's way
let taken = Date.now();

// XMLHttpRequest parses a page itself; from a text none could be made here, as nothing on this page may do that.
function load(url) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.responseType = "document";
    request.timeout = WITHIN_MS;
    request.onload = () => (request.status < 500 ? resolve(request) : reject(new Error(request.status)));
    request.onerror = request.ontimeout = () => reject(new Error("no answer"));
    request.send();
  });
}

// Where the keyboard is must not move under the reader's hands.
function replace(old, fresh) {
  const name = old.dataset.figures;
  if (!fresh || seen.get(name) === fresh.innerHTML) return;
  seen.set(name, fresh.innerHTML);
  const stops = (root) => [...root.querySelectorAll("a[href], button, input, summary, [tabindex]")];
  const at = stops(old).indexOf(document.activeElement);
  old.replaceChildren(...document.adoptNode(fresh).childNodes);
  if (at >= 0) stops(old)[at]?.focus({ preventScroll: true });
}

function say(text) {
  if (notice.textContent !== text) notice.textContent = text; // said aloud once, and not each time that it is tried
  age.textContent = text && ago(taken);
}

async function refresh() {
  const shown = location.href;
  const answer = await load(whole ?? shown).catch(() => null);
  if (location.href !== shown) return;
  if (!answer) return say(notice.dataset.words.replace("{time}", moment(taken)));
  if (new URL(answer.responseURL).pathname !== location.pathname) return say(notice.dataset.signedOut);
  if (answer.status !== 200) return location.assign(whole ?? shown); // the page that says what is wrong
  const fresh = new Map([...answer.response.querySelectorAll("[data-figures]")].map((one) => [one.dataset.figures, one]));
  for (const old of parts()) replace(old, fresh.get(old.dataset.figures));
  taken = Date.now();
  say("");
  document.dispatchEvent(new Event("figures"));
}

const isDue = () => document.visibilityState === "visible" && Date.now() - taken >= EVERY_MS;

async function look() {
  if (isDue()) await refresh();
  setTimeout(look, notice.textContent ? AGAIN_MS : EVERY_MS);
}

if (notice && parts().length) {
  setTimeout(look, EVERY_MS);
  if (whole) refresh();
  document.addEventListener("visibilitychange", () => isDue() && refresh());
}
