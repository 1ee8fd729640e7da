"use strict";
// Untrusted text is inserted by `textContent`, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
let printing = false;
function isDark() { return dark.matches && !printing; }
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];  // Okabe and Ito
const LIGHT = ["#56b4e9", "#ff9e57", "#3ddba4", "#e6a5cb", "#f0c04a", "#b9a6ff"];  // the same hues on a dark page
const PATTERNS = ["", "/", "x", "-", ".", "\\", "|", "+", ""];

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function layout(chart) {
  const ink = isDark() ? "#e6edf3" : "#1b1f24", line = isDark() ? "#323b45" : "#d0d7de";
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  const steps = chart.traces.flatMap((trace) => trace.x), few = Math.max(...steps) - Math.min(...steps) <= 6;
  return {
    title: { text: chart.title, font: { size: 14 }, x: 0.02, xanchor: "left" },
    font: { color: ink, size: 12 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 48, r: 12, t: 36, b: chart.traces.length > 1 ? 78 : 46 }, xaxis: { ...axis, title: { text: "step", standoff: 2 }, ...(few ? { dtick: 1 } : {}) }, yaxis: axis,
    legend: { orientation: "h", y: -0.24, yanchor: "top", x: 0, font: { size: 11 } },
    showlegend: chart.traces.length > 1,
    shapes: data.alarms.map((alarm) => ({ type: "line", xref: "x", yref: "paper", x0: alarm.step, x1: alarm.step,
      y0: 0, y1: 1, line: { dash: "dot", width: 1, color: isDark() ? "#ff8a80" : "#b3261e" } })),
    ...chart.layout,
  };
}

function coloured(traces) {
  return traces.map((trace, i) => {
    const colour = (isDark() ? LIGHT : COLOURS)[i % COLOURS.length];
    const marker = { ...trace.marker, color: colour };
    if (trace.type === "bar") marker.pattern = { shape: PATTERNS[i % PATTERNS.length], fillmode: "overlay" };
    else marker.size = 5;
    return { ...trace, marker, line: { ...trace.line, color: colour, width: 1.6 } };
  });
}

function drawChart(chart, place) {
  const box = element("div", null, "chart");
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", described(chart));
  place.append(box);
  return Plotly.newPlot(box, coloured(chart.traces), layout(chart), { displayModeBar: false, responsive: true });
}

function described(chart) {
  const ends = chart.traces.map((trace) => trace.name + " from " + number(trace.y[0]) + " to " + number(trace.y.at(-1)));
  return "Chart of " + chart.title + " over the steps: " + ends.join("; ");
}

// The reward's chart at once, the others when the browser has time, so that the page is there first.
function drawCharts() {
  const place = document.getElementById("charts"), hero = document.getElementById("hero"), [first, ...rest] = data.charts;
  place.replaceChildren();
  hero.replaceChildren();
  if (first) drawChart(first, hero);
  const draw = () => {
    const chart = rest.shift();
    if (!chart) { document.body.dataset.drawn = "yes"; return; }
    drawChart(chart, place);
    if (printing) draw(); else setTimeout(draw, 0);
  };
  draw();
}

function number(value) { return value === null || value === undefined ? "–" : value.toFixed(3); }

function row(name, values, why) {
  const made = element("tr"), head = element("th", name);
  head.scope = "row";
  made.append(head, ...values.map((one) => element("td", number(one), "number")), element("td", why, "why"));
  return made;
}

// A table of the parts: one column of values for each sample.
function parts(samples, names) {
  const table = element("table", null, names ? "parts" : "parts one"), body = element("tbody"), last = samples.at(-1);
  if (names) {
    const head = element("tr");
    head.append(element("th", "part"), ...names.map((name) => element("th", name, "number")), element("th", "why, after", "why"));
    const top = element("thead");
    top.append(head);
    table.append(top);
  }
  for (const name of ["overall", ...Object.keys(last.parts)]) {
    const values = samples.map((sample) => value(sample, name));
    if (values.every((one) => one === null || one === undefined)) continue;
    body.append(row(name, values, (last.reasons || {})[name] || ""));
  }
  table.append(body);
  return table;
}

// What a signal looked at one by one, such as the criteria of a rubric.
function details(sample) {
  const box = element("div");
  for (const [name, all] of Object.entries(sample.details || {})) {
    const table = element("table", null, "parts looked"), body = element("tbody");
    table.append(element("caption", name + ", one by one"));
    for (const one of all) {
      const made = element("tr"), head = element("th", one.text), met = one.met;
      head.scope = "row";
      made.append(head, element("td", String(one.points), "number"));
      made.append(element("td", met === null ? "lost" : met ? "met" : "not met"), element("td", one.reason, "why"));
      body.append(made);
    }
    table.append(body);
    box.append(table);
  }
  return box;
}

function outcome(sample) {
  const words = [sample.tokens + " tokens"];
  if (sample.cut) words.push("cut at the limit");
  if (sample.advantage !== null && sample.advantage !== undefined) words.push("advantage " + number(sample.advantage));
  if (sample.filtered) words.push("group filtered out");
  if (sample.times > 1) words.push(sample.times + " replies of this step say so");
  if (sample.shortened) words.push("shortened here");
  return words.join(", ");
}

function reply(sample) {
  const box = element("div"), said = element("p", sample.reply, "text reply");
  if (sample.reply.length > 400) {
    said.tabIndex = 0;
    said.setAttribute("role", "region");
    said.setAttribute("aria-label", "reply");
  }
  box.append(said, element("p", outcome(sample), "where"));
  if (sample.masked) box.append(element("p", "masked: " + (sample.failure || "cut"), "bad"));
  return box;
}

function card(sample, ...body) {
  const shown = data.images[sample.row_id] || [], pictures = element("div"), text = element("div");
  const box = element("article", null, shown.length ? "card" : "card plain");
  box.setAttribute("aria-label", "sample " + sample.row_id + " of step " + sample.step);
  for (const number of shown) {
    const picture = element("img");
    picture.src = data.pictures[number];
    picture.alt = "image of " + sample.row_id;
    picture.loading = "lazy";
    pictures.append(picture);
  }
  text.append(element("p", sample.question, "text question"), element("p", "right: " + sample.reference.replace("\n", " "), "text"),
    element("p", "step " + sample.step + " · " + sample.source + " · " + sample.row_id, "where"), ...body);
  if (shown.length) box.append(pictures);
  box.append(text);
  return box;
}

function pairCard(pair) {
  const two = element("div", null, "two");
  for (const when of ["before", "after"]) {
    const side = element("div");
    side.append(element("h3", when + ": step " + pair[when].step), reply(pair[when]));
    two.append(side);
  }
  return card(pair.after, two, parts([pair.before, pair.after], ["before", "after"]), details(pair.after));
}

// A list with pages: `find` gives what the form asks for.
const pages = {};
function drawPage(name, found, all, size, draw) {
  const last = Math.max(0, Math.ceil(found.length / size) - 1), page = Math.min(pages[name] || 0, last), start = page * size;
  pages[name] = page;
  document.getElementById(name === "pair" ? "pair-count" : "count").textContent = found.length
    ? (start + 1) + "–" + Math.min(start + size, found.length) + " of " + found.length + (found.length < all ? " (" + all + " in this page)" : "")
    : "none of " + all + " fits";
  const buttons = [["Previous", -1], ["Next", 1]].map(([word, by]) => {
    const button = element("button", word);
    button.type = "button";
    button.disabled = page + by < 0 || page + by > last;
    button.addEventListener("click", () => {
      pages[name] = page + by;
      (name === "pair" ? drawPairs : drawSamples)();
      document.querySelector("#" + name + "-pages button:not(:disabled)")?.focus({ preventScroll: true });
      document.getElementById(name === "pair" ? "pairs" : "samples").scrollIntoView();
    });
    return button;
  });
  document.getElementById(name + "-pages").replaceChildren(...(last ? buttons : []));
  document.getElementById(name + "-list").replaceChildren(...found.slice(start, start + size).map(draw));
}

function gain(pair) { return (pair.after.overall ?? 0) - (pair.before.overall ?? 0); }

function drawPairs() {
  const form = document.getElementById("pair-filter");
  if (!form) return;
  const wanted = Object.fromEntries(new FormData(form)), words = wanted.text.toLowerCase();
  const order = { changed: (pair) => Math.abs(gain(pair)), worse: (pair) => -gain(pair), better: gain }[wanted.sort];
  const found = data.pairs.filter((pair) =>
    (!wanted.source || pair.after.source === wanted.source) && (!wanted.modality || modality(pair.after) === wanted.modality) &&
    (!words || [pair.after.question, pair.before.reply, pair.after.reply].join(" ").toLowerCase().includes(words)) &&
    (wanted.sort === "changed" || order(pair) > 0));
  drawPage("pair", found.sort((a, b) => order(b) - order(a)), data.pairs.length, 6, pairCard);
}

function options(select, values) {
  for (const value of values) {
    const option = element("option", value === "" ? "any" : value);
    option.value = value;
    select.append(option);
  }
}

function value(sample, name) { return name === "overall" ? sample.overall : sample.parts[name]; }

function sortKey(sample, sort) {
  const values = sort.split("-").map((name) => value(sample, name));
  return values.some((v) => v === null || v === undefined) ? -Infinity : values.reduce((a, b) => a - b);
}

function modality(sample) { return (/^<(\w+)>/.exec(sample.reference) || ["", "none"])[1]; }

function drawSamples() {
  const form = document.getElementById("filter");
  if (!form) return;
  const wanted = Object.fromEntries(new FormData(form)), words = wanted.text.toLowerCase();
  let found = data.samples.filter((s) =>
    (!wanted.step || String(s.step) === wanted.step) && (!wanted.source || s.source === wanted.source) &&
    (!wanted.modality || modality(s) === wanted.modality) &&
    (!wanted.part || wanted.below === "" || (value(s, wanted.part) ?? Infinity) <= Number(wanted.below)) &&
    (!wanted.part || wanted.above === "" || (value(s, wanted.part) ?? -Infinity) >= Number(wanted.above)) &&
    (!words || (s.question + " " + s.reply).toLowerCase().includes(words)));
  if (wanted.sort) found = [...found].sort((a, b) => sortKey(b, wanted.sort) - sortKey(a, wanted.sort));
  drawPage("sample", found, data.samples.length, 20, (sample) => card(sample, reply(sample), parts([sample]), details(sample)));
}

// The URL's fragment keeps the filter, so that it can be shared and survives a reload.
function rememberFilter() {
  const filled = [...new FormData(document.getElementById("filter"))].filter(([, wanted]) => wanted !== "");
  history.replaceState(null, "", "#" + new URLSearchParams(filled));
}

function reloadLater() {
  setTimeout(() => {
    if (document.activeElement?.closest("form")) reloadLater();
    else location.reload();
  }, data.refresh * 1000);
}

function choices(items, of) { return ["", ...new Set(items.map(of))].sort((a, b) => a - b || (a > b ? 1 : -1)); }

function prepareSamples() {
  const form = document.getElementById("filter"), first = data.samples[0];
  if (!form) return;
  const names = ["overall", ...Object.keys(first.parts)];
  const differences = names.includes("embed") && names.includes("llm") ? ["embed-llm", "llm-exact"] : [];
  options(form.step, choices(data.samples, (s) => s.step));
  options(form.source, choices(data.samples, (s) => s.source));
  options(form.modality, choices(data.samples, modality));
  options(form.part, ["", ...names]);
  options(form.sort, ["", ...differences, ...names]);
  form.sort.options[0].text = "step";
  for (const [name, wanted] of new URLSearchParams(location.hash.slice(1)))  // report.html#part=llm&below=0.5
    if (form.elements[name]) form.elements[name].value = wanted;
  form.addEventListener("input", () => { pages.sample = 0; rememberFilter(); drawSamples(); });
  form.addEventListener("submit", (event) => event.preventDefault());
}

function preparePairs() {
  const form = document.getElementById("pair-filter");
  if (!form) return;
  options(form.source, choices(data.pairs, (pair) => pair.after.source));
  options(form.modality, choices(data.pairs, (pair) => modality(pair.after)));
  form.addEventListener("input", () => { pages.pair = 0; drawPairs(); });
  form.addEventListener("submit", (event) => event.preventDefault());
}

// On paper everything is unfolded, and charts are those of a light page.
function print(now) {
  printing = now;
  if (now) document.querySelectorAll("details").forEach((one) => { one.open = true; });
  if (dark.matches) drawCharts();
}

function start() {
  prepareSamples();
  preparePairs();
  drawPairs();
  drawSamples();
  dark.addEventListener("change", drawCharts);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  drawCharts();
  if (data.refresh) reloadLater();
}

start();
