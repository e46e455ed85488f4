// The list of links: a row each, made once and filled anew whenever more is known. Details are made when they are opened.

import { CALM, ago, where } from "./words.js";

export class Rows {
  constructor(list, template) {
    this.list = list;
    this.template = template;
    this.rows = [];
    this.counts = {};
  }

  show(links) {
    this.rows = links.map((link) => this.#make(link));
    this.counts = {};
    for (const { link } of this.rows) this.#count(link.verdict, 1);
    this.list.replaceChildren(...this.rows.map(({ element }) => element));
  }

  update(index, link) {
    const row = this.rows[index];
    this.#count(row.link.verdict, -1);
    this.#count(link.verdict, 1);
    row.link = link;
    fill(row.element, link);
  }

  get links() {
    return this.rows.map(({ link }) => link);
  }

  get findings() {
    return Object.entries(this.counts).reduce((sum, [verdict, number]) => sum + (CALM.has(verdict) ? 0 : number), 0);
  }

  #make(link) {
    const element = this.template.content.firstElementChild.cloneNode(true);
    const row = { element, link };
    fill(element, link);
    element.firstElementChild.addEventListener("toggle", () => fill(element, row.link));
    return row;
  }

  #count(verdict, change) {
    this.counts[verdict] = (this.counts[verdict] ?? 0) + change;
  }
}

function fill(element, link) {
  element.dataset.verdict = link.verdict;
  element.classList.toggle("calm", CALM.has(link.verdict));
  element.querySelector(".badge").textContent = link.verdict === "unseen" ? "not checked" : link.verdict;
  element.querySelector(".url").textContent = link.url || "(no URL)";
  element.querySelector(".why").textContent = why(link);
  element.querySelector(".advice").textContent = CALM.has(link.verdict) ? "" : (link.advice ?? "");
  const details = element.querySelector("details");
  details.querySelector(".more").replaceChildren(...(details.open ? more(link) : []));
}

function why(link) {
  if (link.verdict === "waiting" || link.verdict === "unseen") return "";
  const reason = [link.reason === link.verdict ? "" : link.reason, link.detail].filter(Boolean).join(": ");
  const status = link.status && link.status >= 400 ? ` (${link.status})` : "";
  const hops = new Set(link.hops?.map((hop) => hop.url)).size - 1;
  const way = hops > 0 ? `, after ${hops === 1 ? "a redirect" : `${hops} redirects`}` : "";
  const when = link.at ? `, ${ago(link.at, Date.now())}` : "";
  const asking = link.complete === false ? " – asking the reputation lists…" : "";
  return reason + status + way + when + asking;
}

function* more(link) {
  if (link.advice && CALM.has(link.verdict)) yield make("p", {}, link.advice);
  if (link.places?.length) {
    yield* titled("Where it stands", "ul", link.places, (place) => [
      where(place),
      ...(place.text ? [": ", make("q", {}, place.text)] : []),
    ]);
  }
  if (link.hops?.length) {
    yield* titled("What happened", "ol", link.hops, (hop) => [
      make("code", {}, `${hop.method} ${hop.status ?? ""}`.trim()),
      " ",
      make("span", { className: "url" }, hop.url),
      ...(hop.note || hop.status === null ? [` – ${hop.note || "no answer"}`] : []),
    ]);
  }
  if (link.reputation?.length) {
    yield* titled("Reputation", "ul", link.reputation, (said) => [
      make("strong", {}, said.source),
      ` on ${said.subject}: ${said.answer}`,
      ...(said.lists.length ? [` – ${said.lists.join(", ")}`] : []),
      ...(said.why ? [` – ${said.why}`] : []),
    ]);
  }
  if (["broken", "unverifiable"].includes(link.verdict) && /^https?:\/\//i.test(link.url)) {
    yield make("p", {}, make("a", { href: link.url, target: "_blank", rel: "noopener noreferrer" }, "Open it in a new tab"));
  }
  if (!link.places) yield make("p", {}, "Press “Check links” to learn more.");
}

function titled(title, list, items, contents) {
  return [make("h3", {}, title), make(list, {}, ...items.map((item) => make("li", {}, ...contents(item))))];
}

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
