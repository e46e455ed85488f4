// Keys: single letters and arrows, never with Alt, Ctrl or Meta, which are the browser's own.
const periods = { t: "today", w: "7d", m: "30d", q: "90d", y: "12m", a: "all" };
const dialog = document.getElementById("keys");
const button = document.getElementById("show-keys");
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => dialog.showModal());
}

function shifted(days) {
  const move = (name) => {
    const day = new Date(`${document.querySelector(`input[name=${name}]`).value}T00:00:00Z`);
    return isNaN(day) ? "" : new Date(+day + days * 864e5).toISOString().slice(0, 10);
  };
  return [move("since"), move("until")];
}

function goTo(change) {
  const url = new URL(location.href);
  change(url.searchParams);
  location.assign(url);
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  if (event.key === "?") return dialog.showModal();
  if (dialog.open || !document.querySelector("input[name=since]")) return;
  const key = event.key.toLowerCase();
  if (periods[key])
    goTo((query) => { query.set("period", periods[key]); for (const name of ["since", "until", "interval"]) query.delete(name); });
  else if (key === "x") goTo((query) => (query.has("compare") ? query.delete("compare") : query.set("compare", "1")));
  else if (event.key === "Escape") document.getElementById("clear")?.click();
  else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !event.target.closest(".scroll, .u-wrap")) {
    const [since, until] = ["since", "until"].map((name) => document.querySelector(`input[name=${name}]`).value);
    if (!since || !until) return;
    const length = Math.round((new Date(until) - new Date(since)) / 864e5) + 1;
    const [first, last] = shifted(event.key === "ArrowLeft" ? -length : length);
    goTo((query) => { query.set("period", "custom"); query.set("since", first); query.set("until", last); });
  }
});
