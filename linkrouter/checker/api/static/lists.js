// The result as a list to take away: Markdown for a message to somebody, CSV for a spreadsheet.

import { where, whyText } from "./words.js";

const COLUMNS = ["kind", "verdict", "url", "text or alt", "why", "status", "final url", "where"];

export function toMarkdown(links, images) {
  const lines = [["Links", links], ["Images", images]].flatMap(([title, all]) =>
    all.length ? [`## ${title}`, "", ...all.map(markdownItem), ""] : [],
  );
  return lines.join("\n");
}

function markdownItem(link) {
  const why = link.verdict === "fine" ? "" : ` – ${plain(whyText(link))}`;
  const text = textOf(link) ? ` “${plain(textOf(link))}”` : "";
  return `- [${link.verdict === "fine" ? "x" : " "}] **${link.verdict}**${text} <${link.url.replace(/[<>\s]/g, encodeURIComponent)}>${why}`;
}

function plain(text) {
  return text.replace(/\s+/g, " ").replace(/[\\`*_[\]<>]/g, "\\$&");
}

export function toCsv(links, images) {
  const rows = [["link", links], ["image", images]].flatMap(([kind, all]) =>
    all.map((link) => [
      kind, link.verdict, link.url, textOf(link), whyText(link), link.status ?? "", link.final_url ?? "",
      (link.places ?? []).map(where).join("; "),
    ]),
  );
  return [COLUMNS, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

// A spreadsheet must not take a cell for a formula.
function cell(value) {
  const text = String(value);
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

function textOf({ places = [] }) {
  return places.map(({ text, alt }) => text || alt).find(Boolean) ?? "";
}

export function save(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
