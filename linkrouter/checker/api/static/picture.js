// The mail as a reader sees it, with marks where its links and images are.
//
// It is drawn in a frame with a policy of its own: no script runs there and nothing is fetched. The marks are drawn by
// the page over the frame, so that the mail itself is not changed.

const WIDTH = 640; // what newsletters are made for
const AROUND = 60; // pixels of the mail to see above a mark
const HTML = "http://www.w3.org/1999/xhtml";
const UNWANTED = "script, link, meta, base, iframe, frame, frameset, object, embed, video, audio, noscript, template, dialog";

export class Picture {
  #box;
  #frame = null;
  #layer = null;
  #elements = new Map(); // url → elements

  constructor(box) {
    this.#box = box;
    new ResizeObserver(() => this.#fit()).observe(box);
  }

  get isEmpty() {
    return this.#frame === null;
  }

  clear() {
    this.#box.replaceChildren();
    this.#frame = this.#layer = null;
    this.#elements.clear();
  }

  // Draw `html`; gives false when there is nothing to see.
  async show(html) {
    this.clear();
    const frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "allow-same-origin");
    Object.assign(frame, { src: "/check/frame.html", title: "The mail", tabIndex: -1, inert: true });
    frame.setAttribute("aria-hidden", "true");
    const stage = document.createElement("div");
    stage.className = "stage";
    const layer = document.createElement("div");
    layer.className = "marks";
    layer.setAttribute("aria-hidden", "true"); // the list says the same
    stage.append(frame, layer);
    const loaded = new Promise((resolve) => frame.addEventListener("load", resolve, { once: true }));
    this.#box.replaceChildren(stage);
    await loaded;
    if (!stage.isConnected) return; // something else is drawn by now
    const addresses = fill(frame.contentDocument, html);
    this.#frame = frame;
    this.#layer = layer;
    for (const element of frame.contentDocument.querySelectorAll("a[href], area[href], img, input[type=image]")) {
      const name = addresses.has(element) ? `image ${addresses.get(element)}` : element.getAttribute("href").trim();
      this.#elements.set(name, [...(this.#elements.get(name) ?? []), element]);
    }
    this.#fit();
  }

  // Mark what stands in the mail: { url, verdict, isImage, number }.
  mark(links) {
    if (!this.#layer) return;
    this.#layer.replaceChildren(
      ...links.flatMap((link) => (this.#elements.get(nameOf(link)) ?? []).flatMap((element) => mark(link, element))),
    );
  }

  has(link) {
    return this.#elements.has(nameOf(link));
  }

  // Scroll to where `link` stands, and point at it.
  reveal(link, { smooth = false } = {}) {
    const marks = [...(this.#layer?.children ?? [])].filter((each) => each.name === nameOf(link));
    for (const each of this.#layer?.children ?? []) each.classList.toggle("chosen", marks.includes(each));
    if (!marks.length) return;
    const top = parseFloat(marks[0].style.top) * this.#scale - AROUND;
    this.#box.scrollTo({ top, behavior: smooth ? "smooth" : "instant" });
  }

  get #scale() {
    return Math.min(1, this.#box.clientWidth / WIDTH);
  }

  #fit() {
    if (!this.#frame?.contentDocument) return; // not drawn, or out of the page again
    const root = this.#frame.contentDocument.documentElement;
    this.#frame.style.width = `${WIDTH}px`;
    this.#frame.style.height = `${Math.max(root.scrollHeight, root.ownerDocument.body?.scrollHeight ?? 0, 40)}px`;
    const stage = this.#frame.parentElement;
    stage.style.width = `${WIDTH}px`;
    stage.style.zoom = this.#scale;
  }
}

function nameOf({ url, isImage }) {
  return isImage ? `image ${url}` : url;
}

// Put the mail into the frame's document. It is parsed where nothing is loaded. What has no place there is left out, and
// what would be fetched is replaced; the policy of the frame stops whatever is overlooked here.
function fill(page, html) {
  const inert = page.implementation.createHTMLDocument("");
  inert.documentElement.innerHTML = html;
  for (const element of inert.querySelectorAll(UNWANTED)) element.remove();
  for (const style of inert.querySelectorAll("style")) style.textContent = withoutUrls(style.textContent);
  for (const element of inert.querySelectorAll("*")) {
    const mayLink = ["a", "area"].includes(element.localName) && element.namespaceURI === HTML;
    for (const { name, value } of [...element.attributes]) {
      if (/^on|^(?:background|srcset|poster|lowsrc|ping|xlink:href)$/i.test(name)) element.removeAttribute(name);
      else if (name === "href" && !mayLink) element.removeAttribute(name);
      else if (name === "style" && /url|image/i.test(value)) element.setAttribute("style", withoutUrls(value));
    }
  }
  const addresses = new Map();
  for (const image of inert.querySelectorAll("img, input[type=image]")) {
    addresses.set(image, image.getAttribute("src")?.trim() ?? "");
    image.setAttribute("src", placeholder(image));
  }
  page.replaceChild(page.adoptNode(inert.documentElement), page.documentElement);
  return addresses;
}

function withoutUrls(css) {
  return css.replace(/@import[^;]*;?/gi, "").replace(/(?:url|image|image-set|-webkit-image-set)\([^)]*\)/gi, "none");
}

// A box as large as the image, with its alternative text.
function placeholder(image) {
  const size = (name, other) => Math.min(2000, parseInt(image.getAttribute(name), 10) || other);
  const width = size("width", 120), height = size("height", 36);
  const text = (image.getAttribute("alt") ?? "no alternative text").replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
  const label = `<text x="6" y="${Math.min(height, 36) / 2 + 4}" font-family="sans-serif" font-size="12" fill="#444">${text}</text>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="#dfe3e8"/>${label}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

// Give the marks of one element: one for each line it stands on, the number at the first.
function mark(link, element) {
  const boxes = [element, ...element.querySelectorAll("img, table, div, td")].flatMap((each) => [...each.getClientRects()]);
  const seen = boxes.filter(({ width, height }) => width > 1 && height > 1);
  const outer = seen.filter((box) => !seen.some((other) => other !== box && holds(other, box)));
  return outer.map((box, number) => {
    const drawn = document.createElement("span");
    drawn.className = "mark";
    drawn.dataset.verdict = link.verdict;
    drawn.name = nameOf(link);
    Object.assign(drawn.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.width}px`, height: `${box.height}px` });
    const badge = document.createElement("span");
    badge.textContent = number === 0 ? link.number : "";
    drawn.append(badge);
    return drawn;
  });
}

function holds(outer, inner) {
  const isLarger = outer.width * outer.height > inner.width * inner.height;
  return isLarger && outer.left <= inner.left + 1 && outer.right >= inner.right - 1 && outer.top <= inner.top + 1 && outer.bottom >= inner.bottom - 1;
}
