// The click map: the mail stands in a frame where nothing of it can act; this page measures its links and draws over it.
import { number } from "/dashboard/static/words.js";

const SVG = "http://www.w3.org/2000/svg";
const map = document.getElementById("map");
const frame = map?.querySelector("iframe");
const badges = document.getElementById("badges");

const rows = [...document.querySelectorAll("#links tbody tr")].filter((row) => row.dataset.part === "html");

// A tracked link has its id before its tag; where the mail came untracked, its links are told by their position.
function rowOf(anchor, position) {
  const steps = anchor.getAttribute("href").split("/");
  const byId = rows.find((row) => row.dataset.link === steps.at(-2));
  return byId ?? rows.find((row) => Number(row.dataset.position) === position);
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw() {
  const inside = frame.contentDocument;
  const height = inside.documentElement.scrollHeight;
  frame.setAttribute("height", height);
  badges.setAttribute("height", height);
  badges.replaceChildren();
  const anchors = [...inside.querySelectorAll("a[href], area[href]")].filter((one) => /^https?:/i.test(one.getAttribute("href").trim()));
  anchors.forEach((anchor, position) => {
    const row = rowOf(anchor, position);
    if (!row) return;
    const clicks = Number(row.dataset.clicks);
    const box = anchor.getBoundingClientRect();
    const [x, y] = [box.left + inside.defaultView.scrollX, box.top + inside.defaultView.scrollY];
    if (!box.width) return;
    const text = number(clicks);
    const width = 10 + text.length * 8;
    badges.append(
      element("rect", { x: x - 2, y: y - 2, width: box.width + 4, height: box.height + 4, rx: 3, class: clicks ? "some" : "none" }),
      element("rect", { x: x + box.width + 4, y: y + box.height / 2 - 9, width, height: 18, rx: 9, class: "label" }),
      element("text", { x: x + box.width + 9, y: y + box.height / 2 + 4 }, text),
    );
  });
}

if (frame) {
  if (frame.contentDocument?.readyState === "complete" && frame.contentDocument.URL !== "about:blank") draw();
  frame.addEventListener("load", draw);
  new ResizeObserver(() => frame.contentDocument?.body && draw()).observe(frame);
}
