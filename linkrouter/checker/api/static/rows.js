// A list of links or images: a row each, made once and filled anew whenever more is known, the worst first when a check
// has ended. Details are made when they are opened.

import { CALM, ORDER, ago, where, whyText } from "./words.js";

const MANY = 200; // rows that are laid out only when they are seen

export class Rows {
  // `actions` has what a row can do: again(link, index), reveal(link), and detail(link) for what its details begin with.
  constructor(list, template, actions) {
    this.list = list;
    this.template = template;
    this.actions = actions;
    this.rows = [];
    this.counts = {};
  }

  show(links) {
    this.rows = links.map((link, index) => this.#make(link, index));
    this.counts = {};
    for (const { link } of this.rows) this.#count(link.verdict, 1);
    this.list.classList.toggle("many", links.length > MANY);
    this.list.replaceChildren(...this.rows.map(({ element }) => element));
  }

  update(index, link) {
    const row = this.rows[index];
    this.#count(row.link.verdict, -1);
    this.#count(link.verdict, 1);
    row.link = link;
    this.#fill(row);
  }

  // Put the worst first; whoever stands in a row stays there.
  sort() {
    const focused = document.activeElement;
    const rank = ({ link }) => ORDER.indexOf(link.verdict) * 2 + (link.places?.some(({ alt }) => alt === null) ? 0 : 1);
    const sorted = [...this.rows].sort((one, other) => rank(one) - rank(other));
    sorted.forEach((row, number) => {
      row.number = number + 1;
      row.element.querySelector(".number").textContent = row.number;
    });
    this.list.replaceChildren(...sorted.map(({ element }) => element));
    if (focused && this.list.contains(focused)) focused.focus();
  }

  // Say what has changed since the check before: `changes` has a word by URL.
  tell(changes) {
    for (const row of this.rows) {
      const change = changes.get(row.link.url) ?? "";
      row.element.querySelector(".change").textContent = change === "still" ? "as before" : change;
      row.element.dataset.change = change;
    }
  }

  get links() {
    return this.rows.map(({ link }) => link);
  }

  // As they stand in the list.
  get sorted() {
    return [...this.rows].sort((one, other) => (one.number ?? 0) - (other.number ?? 0)).map(({ link, number }) => ({ ...link, number }));
  }

  get findings() {
    return Object.entries(this.counts).reduce((sum, [verdict, number]) => sum + (CALM.has(verdict) ? 0 : number), 0);
  }

  #make(link, index) {
    const element = this.template.content.firstElementChild.cloneNode(true);
    const row = { element, link, number: index + 1 };
    element.querySelector(".again").addEventListener("click", () => this.actions.again(row.link, index));
    element.querySelector(".reveal").addEventListener("click", () => this.actions.reveal(row.link));
    element.firstElementChild.addEventListener("toggle", () => this.#fill(row));
    this.#fill(row);
    return row;
  }

  #fill({ element, link }) {
    fill(element, link);
    element.querySelector(".reveal").hidden = !this.actions.canReveal(link);
    element.querySelector(".again").hidden = !/^https?:/i.test(link.url) || link.verdict === "unseen" || link.verdict === "malformed";
    element.querySelector(".again").disabled = link.verdict === "waiting";
    const name = textOf(link) || link.url; // so that a screen reader tells the buttons of two rows apart
    element.querySelector(".again").setAttribute("aria-label", `Check again: ${name}`);
    element.querySelector(".reveal").setAttribute("aria-label", `Show in the mail: ${name}`);
    const details = element.querySelector("details");
    details.querySelector(".more").replaceChildren(...(details.open ? [...this.actions.detail(link), ...more(link)] : []));
  }

  #count(verdict, change) {
    this.counts[verdict] = (this.counts[verdict] ?? 0) + change;
  }
}

function fill(element, link) {
  element.dataset.verdict = link.verdict;
  const noAlt = link.places?.some(({ alt }) => alt === null) ?? false;
  element.classList.toggle("calm", CALM.has(link.verdict) && !noAlt);
  element.querySelector(".badge").textContent = link.verdict === "unseen" ? "not checked" : link.verdict;
  element.querySelector(".text").textContent = textOf(link);
  element.querySelector(".url").textContent = link.url || "(no URL)";
  element.querySelector(".why").textContent = whyOf(link) + (noAlt ? `${whyOf(link) ? "; " : ""}no alternative text` : "");
  element.querySelector(".advice").textContent = CALM.has(link.verdict) ? "" : (link.advice ?? "");
}

function textOf({ places = [] }) {
  const texts = [...new Set(places.map(({ text, alt }) => text || alt).filter(Boolean))];
  return texts.length > 2 ? `${texts.slice(0, 2).join(" · ")} · and ${texts.length - 2} more` : texts.join(" · ");
}

function whyOf(link) {
  const when = link.at ?? (link.checked_at ? Date.parse(link.checked_at) : null);
  const known = when ? `, ${link.at ? "" : "known from your check "}${ago(when, Date.now())}` : "";
  const asking = link.complete === false && whyText(link) ? " – asking the reputation lists…" : "";
  return whyText(link) + known + asking;
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
  return [make("h4", {}, title), make(list, {}, ...items.map((item) => make("li", {}, ...contents(item))))];
}

export function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
