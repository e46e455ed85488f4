// What the page says. Sentences about a whole mail are made here; those about one link come from the server.

export const CALM = new Set(["fine", "skipped", "waiting", "unseen"]);

export const ORDER = ["flagged", "broken", "malformed", "unverifiable", "waiting", "unseen", "fine", "skipped"];

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
  return { headline: `Checking ${total.toLocaleString("en")} links and images…`, explanation: `${done.toLocaleString("en")} of ${total.toLocaleString("en")} checked` };
}

// How a check ended: the worst thing first. `gate` is the server's word on the mail, `counts` the links by verdict,
// `images` the images that are to be looked at.
export function ended({ state, gate }, counts, images = 0) {
  const total = Object.values(counts).reduce((sum, number) => sum + number, 0);
  const summary = total ? `${links(total)}: ${tally(counts)}.` : "";
  if (state === "failed") {
    return { headline: "The check was cut short", explanation: `${summary} Check again before you send.` };
  }
  const [headline, explanation] = worst(gate, counts, total, images);
  return { headline, explanation: `${summary} ${explanation}`.trim() };
}

function worst(gate, counts, total, images) {
  const bad = (counts.broken ?? 0) + (counts.malformed ?? 0);
  if (gate.answer === "block") return ["Do not send this mail", "Take the flagged links out, then check again."];
  const wait = "What is not known yet holds the mail; check again in a few minutes.";
  if (bad) {
    const headline = bad === 1 ? "One link does not work" : `${bad.toLocaleString("en")} links do not work`;
    return [headline, gate.answer === "wait" ? wait : "Correct them, then check again; nothing else holds the mail."];
  }
  if (gate.answer === "wait") return ["This mail must wait", wait];
  if (total === 0) return ["There is no link in this mail", "If that is not meant so, see what it was read as."];
  if (counts.unverifiable) {
    const number = counts.unverifiable;
    const headline = number === 1 ? "Look at one link yourself" : `Look at ${number.toLocaleString("en")} links yourself`;
    return [headline, "Nobody but a person can tell whether they work. Otherwise this mail may be sent."];
  }
  if (images) return ["This mail may be sent", "Have a look at its images."];
  return ["This mail may be sent", "Every link in it works."];
}

// Why a link has its verdict, in one line.
export function whyText(link) {
  if (link.verdict === "waiting" || link.verdict === "unseen") return "";
  const reason = [link.reason === link.verdict ? "" : link.reason, link.detail].filter(Boolean).join(": ");
  const status = link.status && link.status >= 400 ? ` (${link.status})` : "";
  const hops = new Set(link.hops?.map((hop) => hop.url)).size - 1;
  const way = hops > 0 ? `, after ${hops === 1 ? "a redirect" : `${hops} redirects`}` : "";
  return reason + status + way;
}

export function where(place) {
  if (place.part === "urls") return `line ${place.line} of the list`;
  if (place.part === "html" || place.part === "text") return `${place.part === "html" ? "HTML" : "text"} part, line ${place.line}`;
  return `${place.part}, line ${place.line}`;
}

export function ago(then, now) {
  const minutes = Math.round((now - then) / 60_000);
  if (minutes >= 120) return `${Math.round(minutes / 60)} hours ago`;
  return minutes < 1 ? "just now" : minutes === 1 ? "a minute ago" : `${minutes} minutes ago`;
}
