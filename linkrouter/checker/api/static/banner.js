// The banner over the links: how the mail stands, in a headline, a sentence and the links that hold it.

const MAX_HELD = 5;

const $ = (id) => document.getElementById(id);

// `state` gives the banner its colour.
export function say({ headline, explanation }, state) {
  $("banner").dataset.state = state;
  $("banner").dataset.worst = "";
  if ($("headline").textContent !== headline) $("headline").textContent = headline;
  $("explanation").textContent = explanation;
  $("held").hidden = true;
}

// Say it to those who listen, too.
export function sayAloud(words, state) {
  say(words, state);
  announce(`${words.headline}. ${words.explanation}`);
}

export function announce(text) {
  $("live").textContent = text;
}

// Name the links that hold the mail.
export function hold(held) {
  const items = held.slice(0, MAX_HELD).map(({ url, why }) => {
    const name = document.createElement("span");
    name.className = "url";
    name.textContent = url || "a part of the mail";
    return item(name, ` – ${why}`);
  });
  if (held.length > MAX_HELD) items.push(item(`and ${held.length - MAX_HELD} more`));
  $("held").replaceChildren(...items);
  $("held").hidden = items.length === 0;
}

// `total` is unknown before the mail was read.
export function progress(done, total) {
  const bar = $("progress");
  bar.hidden = false;
  if (total === undefined) return bar.removeAttribute("value");
  bar.max = total;
  bar.value = done;
}

export function endProgress() {
  $("progress").hidden = true;
}

function item(...contents) {
  const element = document.createElement("li");
  element.append(...contents);
  return element;
}
