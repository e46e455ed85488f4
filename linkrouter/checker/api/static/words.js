// What the page says. Sentences about a whole mail are made here; those about one link come from the server.

export const CALM = new Set(["fine", "skipped", "waiting", "unseen"]);

const ORDER = ["flagged", "broken", "malformed", "unverifiable", "fine", "skipped", "waiting"];

// "3 fine, 1 broken", the worst first; `counts` is by verdict.
export function tally(counts) {
  const found = ORDER.filter((verdict) => counts[verdict]).map((verdict) => `${counts[verdict]} ${verdict}`);
  return found.join(", ");
}

export function links(number) {
  return number === 1 ? "1 link" : `${number.toLocaleString("en")} links`;
}

export function firstLook(total, malformed, remembered) {
  if (total === 0) {
    return { headline: "No links found at first sight", explanation: "Check it all the same: the server reads a mail more closely." };
  }
  const parts = [];
  if (malformed) parts.push(malformed === 1 ? "One is malformed: correct it first." : `${malformed} are malformed: correct them first.`);
  if (remembered) parts.push(`${links(remembered)} ${remembered === 1 ? "was" : "were"} checked here a short while ago.`);
  parts.push("Nothing has been sent anywhere yet.");
  return { headline: `${links(total)} found`, explanation: parts.join(" ") };
}

export function running({ done, total }) {
  return { headline: `Checking ${links(total)}…`, explanation: `${done.toLocaleString("en")} of ${total.toLocaleString("en")} checked` };
}

// How a check ended. `gate` is the server's word on the mail, `counts` the links by verdict.
export function ended({ state, gate, progress }, counts) {
  const summary = progress.total ? `${links(progress.total)}: ${tally(counts)}.` : "There are no links in it.";
  if (state === "failed") {
    return { headline: "The check was cut short", explanation: `${summary} Check again before you send.` };
  }
  const headlines = { send: "This mail may be sent", wait: "This mail must wait", block: "Do not send this mail" };
  const advice = {
    send: gate.warnings.length ? " Have a look at the ones that are not fine." : "",
    wait: " What is not known yet holds the mail; check again in a few minutes.",
    block: " Take the flagged links out, then check again.",
  };
  return { headline: headlines[gate.answer], explanation: summary + advice[gate.answer] };
}

export function where(place) {
  if (place.part === "urls") return `line ${place.line} of the list`;
  return `${place.part === "html" ? "HTML" : place.part} part, line ${place.line}`;
}

export function ago(then, now) {
  const minutes = Math.round((now - then) / 60_000);
  return minutes < 1 ? "just now" : minutes === 1 ? "a minute ago" : `${minutes} minutes ago`;
}
