// Clicks as they are labelled. Whatever stands in them is text here, never markup.
import { country, moment } from "/dashboard/static/words.js";

const MOST = 200;
const table = document.getElementById("clicks");
const state = document.getElementById("state");
const pause = document.getElementById("pause");
const words = { human: table.dataset.human, machine: table.dataset.machine, unsure: table.dataset.unsure, "not judged": table.dataset.none };
let held = null;

function show(click) {
  const row = table.tBodies[0].insertRow(0);
  const reasons = click.robot.reasons.length ? `: ${click.robot.reasons.join(", ")}` : "";
  const texts = [
    moment(click.clicked_at), click.url ?? "–", `${click.agent.browser}, ${click.agent.os}`, country(click.place.country),
    (words[click.robot.label] ?? click.robot.label) + reasons,
  ];
  for (const text of texts) row.insertCell().textContent = text;
  while (table.tBodies[0].rows.length > MOST) table.tBodies[0].deleteRow(-1);
}

const source = new EventSource("/v1/clicks/live");
source.addEventListener("click", (event) => {
  state.textContent = "";
  const click = JSON.parse(event.data);
  if (held) held.push(click); else show(click);
});
source.addEventListener("open", () => { state.textContent = table.tBodies[0].rows.length ? "" : state.dataset.waiting; });
source.addEventListener("error", () => { state.textContent = state.dataset.lost; });

pause.addEventListener("click", () => {
  if (held) { held.slice(-MOST).forEach(show); held = null; } else held = [];
  pause.textContent = held ? pause.dataset.resume : pause.dataset.pause;
  pause.setAttribute("aria-pressed", String(Boolean(held)));
});
