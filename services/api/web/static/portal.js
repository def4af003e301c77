// Countdowns, relative times and charts. Without this script the page shows them as of when it was rendered.
"use strict";

// Use the server's clock; this machine's can be wrong.
let ahead = 0;
const synchronise = (element) => { ahead = Date.parse(element.dataset.now) - Date.now(); };

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
// A unit, and the next smaller one unless there is none of it: "6 h 10 s" would be read as minutes.
const duration = (seconds) => {
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of UNITS) {
    if (unit === "d" && left < 2 * size) continue;
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count} ${unit}`);
    else if (parts.length) break;
  }
  return parts;
};

// A page that updates itself says when the last update worked, and is live only while updates work.
const STALE_MS = 10000;
let updated = Date.now();
let shownAgain = updated;
let clock = "";
const freshness = () => {
  const polled = document.querySelector("#live, #brands");
  if (!polled) return;
  const stale = !document.hidden && Date.now() - Math.max(updated, shownAgain) > STALE_MS;
  const note = document.getElementById("stale");
  const since = clock || new Date(updated).toTimeString().slice(0, 5);
  const text = stale ? `Not updated since ${since}` : "";
  // Write it only when it changes: screen readers announce each write.
  if (note.textContent !== text) note.textContent = text;
  note.hidden = !stale;
  for (const element of document.querySelectorAll("[data-live]")) element.hidden = stale;
};

const tick = () => {
  freshness();
  const now = Date.now() + ahead;
  for (const element of document.querySelectorAll("[data-countdown]")) {
    const seconds = (Date.parse(element.dateTime) - now) / 1000;
    const words = duration(Math.abs(seconds)).slice(0, 2).join(" ") || "0 s";
    element.textContent = seconds >= 0 ? `in ${words}` : `${words} overdue`;
    element.classList.toggle("soon", seconds >= 0 && seconds < 7200);
    element.classList.toggle("over", seconds < 0);
  }
  for (const element of document.querySelectorAll("[data-ago]")) {
    const seconds = (now - Date.parse(element.dateTime)) / 1000;
    element.textContent = seconds < 1 ? "just now" : `${duration(seconds)[0]} ago`;
  }
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const SERIES = [["answered", "--good-fill"], ["answered_late", "--late-fill"], ["open", "--open-fill"]];
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });
let plot = null;

// What the charts of days have in common: their measures, their axis of every so many days, and their axis of numbers.
const framed = (element, data, range, every, wide) => {
  const xs = data.days.map((_, index) => index);
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const label = (index) => (Number.isInteger(index) && data.days[index] ? DAY.format(new Date(data.days[index])) : "");
  return {
    width: element.clientWidth,
    height: 220,
    cursor: { show: false },
    legend: { show: false },
    padding: [12, 22, 0, 0],
    scales: { x: { time: false, range: [-0.6, xs.length - 0.4] }, y: { range } },
    axes: [
      { ...axis, grid: { show: false }, values: (_, splits) => splits.map(label), splits: () => xs.filter((index) => (xs.length - 1 - index) % every === 0) },
      { ...axis, size: wide, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000] },
    ],
  };
};

const draw = (element, data) => {
  const xs = data.days.map((_, index) => index);
  // Stacked bars: each is drawn from 0 to its sum, the tallest first, so that the others cover it.
  let sums = xs.map(() => 0);
  const stacks = SERIES.map(([name]) => { sums = sums.map((sum, index) => sum + data[name][index]); return sums; });
  const bars = uPlot.paths.bars({ size: [0.62, 42], radius: 0.15 });
  const options = {
    ...framed(element, data, (_, _low, high) => [0, Math.max(4, high * 1.05)], element.clientWidth < 520 ? 4 : 2, 36),
    series: [{}, ...SERIES.map(([name, fill]) => ({ label: name, fill: colour(fill), stroke: colour(fill), width: 0, paths: bars, points: { show: false } })).reverse()],
  };
  if (plot) plot.destroy();
  plot = new uPlot(options, [xs, ...stacks.reverse()], element);
  const body = document.querySelector("#chart-table tbody");
  body.replaceChildren(...data.days.map((name, index) => {
    const row = document.createElement("tr");
    for (const text of [name, ...SERIES.map(([series]) => data[series][index])]) {
      row.appendChild(document.createElement("td")).textContent = text;
    }
    return row;
  }));
};

const chart = () => {
  const element = document.getElementById("chart");
  if (!element) return;
  let data = null;
  const redraw = () => { if (data) draw(element, data); };
  const load = async () => {
    const answer = await fetch(element.dataset.src, { headers: { "HX-Request": "true" } });
    if (answer.ok) { data = await answer.json(); redraw(); }
  };
  load();
  setInterval(load, 15000);
  let width = element.clientWidth;
  new ResizeObserver(() => { if (element.clientWidth !== width) { width = element.clientWidth; redraw(); } }).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
};

// How many there were on each day, and the goal.
const drawDays = (element, data, before) => {
  const xs = data.days.map((_, index) => index);
  const bars = uPlot.paths.bars({ size: [0.7, 30], radius: 0.15 });
  const most = Math.max(4, ...data.counts, data.goal || 0);
  const options = {
    ...framed(element, data, [0, most * 1.08], 7, 40),
    series: [
      {},
      { fill: colour("--accent"), stroke: colour("--accent"), width: 0, paths: bars, points: { show: false } },
      { stroke: colour("--bad"), width: 2, dash: [6, 4], points: { show: false } },
    ],
  };
  if (before) before.destroy();
  return new uPlot(options, [xs, data.counts, xs.map(() => data.goal)], element);
};

const daysChart = async (element) => {
  const answer = await fetch(element.dataset.days, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const data = await answer.json();
  let drawn = drawDays(element, data, null);
  let width = element.clientWidth;
  const redraw = () => { drawn = drawDays(element, data, drawn); };
  new ResizeObserver(() => { if (element.clientWidth !== width) { width = element.clientWidth; redraw(); } }).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
};

// A narrow screen shows only some sections. Scroll to the current one.
const here = document.querySelector(".sections [aria-current]");
if (here) {
  const sections = here.closest(".sections");
  sections.scrollLeft = here.offsetLeft - (sections.clientWidth - here.offsetWidth) / 2;
}

synchronise(document.body);
clock = document.getElementById("live")?.dataset.clock ?? "";
tick();
setInterval(tick, 1000);
chart();
document.querySelectorAll("[data-days]").forEach(daysChart);
document.body.addEventListener("htmx:afterSwap", () => {
  const live = document.getElementById("live");
  if (live) synchronise(live);
  tick();
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  const { xhr, successful } = event.detail;
  if (!successful || !["live", "brands"].includes(event.detail.elt.id)) return;
  updated = Date.now();
  clock = xhr.getResponseHeader("X-Clock") ?? clock;
  freshness();
});
document.addEventListener("visibilitychange", () => { shownAgain = Date.now(); freshness(); });
// Do not update a page in the background.
document.body.addEventListener("htmx:beforeRequest", (event) => { if (document.hidden) event.preventDefault(); });
