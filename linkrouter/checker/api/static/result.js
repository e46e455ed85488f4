// What a check found: the banner, the links, the images, the campaign parameters and the picture of the mail.

import { followCheck, readCheck, startCheck } from "./api.js";
import { announce, hold, progress, say, sayAloud } from "./banner.js";
import { compare, isSameMail, sayChanges } from "./changes.js";
import { save, toCsv, toMarkdown } from "./lists.js";
import { excerptOf, htmlOf } from "./mail.js";
import { Picture } from "./picture.js";
import { Rows, make } from "./rows.js";
import { showUtm } from "./utm.js";
import { CALM, ended, links as linksText, running } from "./words.js";

const SAY_EVERY_MS = 3000; // to a screen reader, while a check runs
const MAX_DRAWN_CHARS = 1_000_000; // of a mail; more would keep the browser busy

const $ = (id) => document.getElementById(id);

export class Result {
  #mail = null; // { bytes, kind }
  #id = null;
  #token = null;
  #before = []; // the links of the check before
  #compared = null; // those that this one is held against, when both are of one mail
  #html = "";
  #saidAt = 0;
  #painting = 0;

  constructor(memory) {
    this.memory = memory;
    this.picture = new Picture($("picture"));
    this.rows = new Rows($("links"), $("row"), this.#actions(false));
    this.images = new Rows($("images"), $("row"), this.#actions(true));
    $("copy").addEventListener("click", () => this.#copy());
    $("save-csv").addEventListener("click", () => save("links.csv", toCsv(this.rows.sorted, this.images.sorted), "text/csv"));
    $("save-markdown").addEventListener("click", () =>
      save("links.md", toMarkdown(this.rows.sorted, this.images.sorted), "text/markdown"),
    );
  }

  // Show what a first look found, before anybody is asked.
  look(mail, found, words, state) {
    this.#setMail(mail, { draw: false });
    this.rows.show(found);
    this.images.show([]);
    for (const id of ["image-section", "utm-section", "take", "changes"]) $(id).hidden = true;
    $("read-as").textContent = found.length ? `Read as ${kindText(mail.kind)}.` : `Read as ${kindText(mail.kind)}: no link in it.`;
    sayAloud(words, state);
    this.#count();
  }

  begin(mail) {
    this.#setMail(mail);
    $("result").hidden = false;
    $("links").setAttribute("aria-busy", "true");
    for (const id of ["take", "changes", "image-section", "utm-section"]) $(id).hidden = true;
    say({ headline: "Reading the mail…", explanation: "" }, "running");
    progress();
    const gentle = matchMedia("(prefers-reduced-motion: reduce)").matches;
    $("result").scrollIntoView({ block: "start", behavior: gentle ? "instant" : "smooth" });
  }

  // Whether the mail that is checked now was checked before: then what was bad is asked for anew.
  isAgain(links) {
    return isSameMail(this.#before, links);
  }

  async watch(token, request, signal) {
    const begun = await startCheck(token, request, signal);
    this.#token = token;
    this.#id = begun.id;
    this.rows.show(begun.links);
    this.images.show(begun.images);
    $("image-section").hidden = begun.images.length === 0;
    const [input] = begun.inputs;
    $("read-as").textContent = `Read as ${kindText(input.kind)}: ${linksText(input.links)}${input.images ? ` and ${input.images} ${input.images === 1 ? "image" : "images"}` : ""}.`;
    const done = begun.progress;
    this.#advance(done, signal);
    announce(`Checking ${linksText(input.links)}.`);
    for await (const { name, data } of followCheck(token, begun.id, signal)) {
      if (signal.aborted) return;
      if (name === "done") this.#finish(data);
      else {
        (name === "image" ? this.images : this.rows).update(data.index, data.link);
        done.done += data.link.complete;
        this.#painting ||= requestAnimationFrame(() => this.#advance(done, signal));
      }
    }
  }

  #advance({ done, total }, signal) {
    this.#painting = 0;
    if (signal.aborted || $("links").getAttribute("aria-busy") === "false") return;
    const words = running({ done, total });
    progress(done, total);
    say(words, "running");
    this.#count();
    if (Date.now() - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = Date.now();
    announce(words.explanation);
  }

  #finish(end) {
    this.#judge(end);
    const found = this.rows.links;
    this.#compared = isSameMail(this.#before, found) ? this.#before : null;
    this.#sayChanges();
    if (end.state === "done") this.#before = found;
    found.forEach((link) => this.memory.remember(link));
    this.memory.save();
  }

  #sayChanges() {
    $("changes").hidden = !this.#compared;
    if (!this.#compared) return;
    const changed = compare(this.#compared, this.rows.links);
    this.rows.tell(changed.changes);
    $("changes").textContent = sayChanges(changed);
    announce($("changes").textContent);
  }

  // Say how the mail stands, and put the worst first.
  #judge(end) {
    const answer = end.state === "done" ? end.gate.answer : "wait";
    const odd = this.images.findings + this.#withoutAlt;
    sayAloud(ended(end, this.rows.counts, odd), answer === "send" && this.rows.findings + odd ? "look" : answer);
    $("banner").dataset.worst = ["flagged", "broken", "malformed"].some((verdict) => this.rows.counts[verdict]) ? "bad" : "";
    hold([...end.gate.blocks, ...(answer === "block" ? [] : end.gate.waits)]);
    this.rows.sort();
    this.images.sort();
    this.#count();
    this.#mark();
    $("take").hidden = false;
    this.#sayImages();
    const words = showUtm($("utm"), this.rows.links);
    $("utm-section").hidden = !words;
    $("utm-summary").textContent = words;
  }

  #sayImages() {
    const without = this.#withoutAlt, { findings } = this.images;
    const parts = [
      findings ? `${findings} of ${this.images.rows.length} ${findings === 1 ? "does" : "do"} not load.` : "All of them load.",
      without ? `${without} ${without === 1 ? "has" : "have"} no alternative text: a reader who sees no images is told nothing.` : "Each has an alternative text.",
    ];
    $("image-summary").textContent = parts.join(" ");
  }

  get #withoutAlt() {
    return this.images.links.filter(({ places = [] }) => places.some(({ alt }) => alt === null)).length;
  }

  #count() {
    $("filter").hidden = this.rows.links.length === 0;
    $("count-all").textContent = `(${this.rows.links.length})`;
    $("count-findings").textContent = `(${this.rows.findings})`;
  }

  #actions(isImage) {
    const named = (link) => ({ ...link, isImage });
    return {
      again: (link, index) => this.#again(link, index, isImage),
      canReveal: (link) => this.picture.has(named(link)),
      reveal: (link) => {
        this.picture.reveal(named(link), { smooth: !matchMedia("(prefers-reduced-motion: reduce)").matches });
        $("picture-section").scrollIntoView({ block: "nearest" });
        announce("Shown in the mail.");
      },
      detail: (link) => this.#detail(named(link)),
    };
  }

  // Ask for one link again; whether the mail may be sent is asked again, too.
  async #again(link, index, isImage) {
    const rows = isImage ? this.images : this.rows;
    const signal = AbortSignal.timeout(60_000);
    const id = this.#id;
    rows.update(index, { ...link, verdict: "waiting", reason: "", detail: "", hops: [], complete: false });
    announce(`Checking ${link.url} again.`);
    let found = link;
    try {
      const begun = await startCheck(this.#token, { urls: [link.url], fresh: "all" }, signal);
      for await (const { name, data } of followCheck(this.#token, begun.id, signal)) {
        if (name === "link") found = { ...data.link, url: link.url, places: link.places };
      }
      if (this.#id !== id) return;
      rows.update(index, found);
      this.#judge(await readCheck(this.#token, id, signal));
      if (!isImage) {
        this.#compared ??= this.#before;
        this.#before = this.rows.links;
        this.#sayChanges();
      }
      announce(`${found.url} is ${found.verdict}. ${$("headline").textContent}.`);
    } catch {
      if (this.#id === id) rows.update(index, link);
      announce("It could not be checked again.");
    }
  }

  #detail(link) {
    if (this.picture.has(link)) {
      const box = make("div", { className: "picture clip" });
      const clip = new Picture(box);
      clip.show(this.#html).then(() => {
        clip.mark([{ ...link, number: "" }]);
        clip.reveal(link);
      });
      return [box];
    }
    const [place] = link.places ?? [];
    const text = place && this.#mail ? excerptOf(this.#mail.bytes, this.#mail.kind, place) : "";
    return text ? [make("pre", { className: "excerpt" }, text)] : [];
  }

  // The mail is drawn when it is checked: a first look asks nobody for anything, not even for the frame.
  #setMail(mail, { draw = true } = {}) {
    this.#mail = mail;
    const found = draw ? htmlOf(mail.bytes, mail.kind) : "";
    const html = found.length > MAX_DRAWN_CHARS ? "" : found;
    $("picture-section").hidden = !html;
    if (html === this.#html) return;
    this.#html = html;
    if (html) this.picture.show(html).then(() => this.#mark());
    else this.picture.clear();
  }

  #mark() {
    const calmLast = (one, other) => CALM.has(other.verdict) - CALM.has(one.verdict);
    const all = [...this.rows.sorted, ...this.images.sorted.map((image) => ({ ...image, isImage: true, number: "" }))];
    const worthIt = all.filter((link) => !link.isImage || !CALM.has(link.verdict) || link.places?.some(({ alt }) => alt === null));
    this.picture.mark(worthIt.sort(calmLast).reverse());
    for (const rows of [this.rows, this.images]) {
      for (const { element, link } of rows.rows) {
        element.querySelector(".reveal").hidden = !this.picture.has({ ...link, isImage: rows === this.images });
      }
    }
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(toMarkdown(this.rows.sorted, this.images.sorted));
      announce("The list is copied.");
      $("copy").textContent = "Copied";
      setTimeout(() => ($("copy").textContent = "Copy list"), 2000);
    } catch {
      announce("This browser does not let the list be copied; save it instead.");
    }
  }
}

const KINDS = { message: "a whole message", html: "HTML", mjml: "MJML", markdown: "Markdown", feed: "a feed", urls: "a list of URLs", text: "plain text" };

function kindText(kind) {
  return KINDS[kind] ?? kind;
}
