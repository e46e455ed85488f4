// The chart of clicks over time, drawn from the table behind it: the numbers are the same because they are those.
/* global uPlot */
import { moment, number } from "/dashboard/static/words.js";

const place = document.getElementById("chart");
const table = document.getElementById("series");
const machines = document.getElementById("machines");
const rows = () => (table ? [...table.tBodies[0].rows] : []);

function column(index) {
  return rows().map((row) => (row.cells[index].textContent.trim() === "–" ? null : Number(row.cells[index].textContent)));
}

// Read before page.js writes them in the reader's way: its module may run first, so the values stand in attributes.
let times = [];
const readTimes = () => rows().map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
const heads = table ? [...table.tHead.rows[0].cells].map((cell) => cell.textContent) : [];

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

function lossBands(chart, missing, colour) {
  const { ctx } = chart;
  ctx.save();
  ctx.fillStyle = colour;
  missing.forEach((count, index) => {
    if (!count) return;
    const left = chart.valToPos(times[index], "x", true);
    const right = index + 1 < times.length ? chart.valToPos(times[index + 1], "x", true) : chart.bbox.left + chart.bbox.width;
    ctx.fillRect(left, chart.bbox.top, Math.max(right - left, 2), chart.bbox.height);
  });
  ctx.restore();
}

function day(second) {
  return new Intl.DateTimeFormat("en-CA", { timeZone: place.dataset.zone, dateStyle: "short" }).format(second * 1000);
}

function zoom(chart) {
  const { left, width } = chart.select;
  if (width < 8) return;
  const first = chart.posToVal(left, "x");
  const last = chart.posToVal(left + width, "x");
  const url = new URL(location.href);
  url.searchParams.set("period", "custom");
  url.searchParams.set("since", day(first));
  url.searchParams.set("until", day(last));
  url.searchParams.delete("interval");
  location.assign(url);
}

function draw() {
  times = readTimes();
  const colour = colours();
  const missing = column(4);
  const data = [times, column(1), column(2), column(3)];
  const line = (name, label, more) => ({ label, stroke: colour(name), width: 2, points: { show: times.length < 40 }, value: (_, value) => (value === null ? "–" : number(value)), ...more });
  const series = [
    { label: heads[0], value: (_, value) => (value === null ? "–" : moment(value * 1000, place.dataset.zone, table.dataset.interval)) },
    line("accent", heads[1], { fill: `${colour("accent")}1a` }),
    line("good", heads[2], { width: 1.5 }),
    line("machine", heads[3], { width: 1.5, show: machines.checked }),
  ];
  if (heads.length > 5) {
    data.push(column(5));
    series.push(line("before", heads[5], { dash: [6, 4], width: 1.5 }));
  }
  const axis = { stroke: colour("muted"), grid: { stroke: colour("hair"), width: 1 }, ticks: { stroke: colour("hair") } };
  const hourly = table.dataset.interval === "hour";
  const chart = new uPlot({
    width: place.clientWidth,
    height: 260,
    tzDate: (second) => uPlot.tzDate(new Date(second * 1000), place.dataset.zone),
    cursor: { drag: { x: true, y: false, setScale: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.05, 1)] } },
    axes: [
      { ...axis, values: (_, values) => values.map((value) => moment(value * 1000, place.dataset.zone, hourly ? "hour" : "day")), space: 110 },
      { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7], values: (_, values) => values.map(number), size: 70 },
    ],
    series,
    hooks: { drawClear: [(one) => lossBands(one, missing, colour("loss"))], setSelect: [zoom] },
  }, data, place);
  machines.onchange = () => {
    chart.setSeries(3, { show: machines.checked });
    const url = new URL(location.href);
    if (machines.checked) url.searchParams.delete("machines"); else url.searchParams.set("machines", "0");
    history.replaceState(null, "", url);
  };
  return chart;
}

if (table && window.uPlot) {
  let chart = null;
  const redraw = () => { chart?.destroy(); chart = rows().length ? draw() : null; };
  redraw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("figures", redraw);
  new ResizeObserver(() => chart?.setSize({ width: place.clientWidth, height: 260 })).observe(place);
}
