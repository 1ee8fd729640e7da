"use strict";
// Untrusted text is inserted by `textContent`, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];  // Okabe and Ito
const PATTERNS = ["", "/", "x", "-", ".", "\\", "|", "+", ""];

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function layout(chart) {
  const ink = dark.matches ? "#e6edf3" : "#1b1f24", line = dark.matches ? "#323b45" : "#d0d7de";
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  return {
    title: { text: chart.title, font: { size: 14 }, x: 0.02, xanchor: "left" },
    font: { color: ink, size: 12 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 48, r: 12, t: 36, b: 78 }, xaxis: { ...axis, title: { text: "step", standoff: 2 } }, yaxis: axis,
    legend: { orientation: "h", y: -0.24, yanchor: "top", x: 0, font: { size: 11 } },
    showlegend: chart.traces.length > 1,
    shapes: data.alarms.map((alarm) => ({ type: "line", xref: "x", yref: "paper", x0: alarm.step, x1: alarm.step,
      y0: 0, y1: 1, line: { dash: "dot", width: 1, color: dark.matches ? "#ff8a80" : "#b3261e" } })),
    ...chart.layout,
  };
}

function coloured(traces) {
  return traces.map((trace, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const marker = { ...trace.marker, color: colour };
    if (trace.type === "bar") marker.pattern = { shape: PATTERNS[i % PATTERNS.length], fillmode: "overlay" };
    else marker.size = 5;
    return { ...trace, marker, line: { ...trace.line, color: colour, width: 1.6 } };
  });
}

function drawCharts() {
  const place = document.getElementById("charts");
  place.replaceChildren();
  for (const chart of data.charts) {
    const box = element("div", null, "chart");
    place.append(box);
    Plotly.newPlot(box, coloured(chart.traces), layout(chart), { displayModeBar: false, responsive: true });
  }
}

function number(value) { return value === null || value === undefined ? "–" : value.toFixed(3); }

function parts(sample) {
  const table = element("table", null, "parts");
  for (const [name, value] of Object.entries({ overall: sample.overall, ...sample.parts })) {
    const row = element("tr");
    row.append(element("td", name), element("td", number(value)), element("td", (sample.reasons || {})[name] || ""));
    table.append(row);
  }
  return table;
}

function outcome(sample) {
  const words = [sample.tokens + " tokens"];
  if (sample.cut) words.push("cut at the limit");
  if (sample.advantage !== null && sample.advantage !== undefined) words.push("advantage " + number(sample.advantage));
  if (sample.filtered) words.push("group filtered out");
  return words.join(", ");
}

function reply(sample) {
  const box = element("div");
  box.append(element("p", sample.reply), element("p", outcome(sample), "where"));
  if (sample.masked) box.append(element("p", "masked: " + (sample.failure || "cut"), "bad"));
  box.append(parts(sample));
  return box;
}

function card(sample, body) {
  const box = element("article", null, "card"), pictures = element("div"), text = element("div");
  for (const address of data.images[sample.row_id] || []) {
    const picture = element("img");
    picture.src = address;
    picture.alt = "image of " + sample.row_id;
    pictures.append(picture);
  }
  text.append(element("p", "step " + sample.step + "   " + sample.source + "   " + sample.row_id, "where"),
    element("p", sample.question), element("p", "right: " + sample.reference, "where"), body);
  box.append(pictures, text);
  return box;
}

function drawPairs() {
  const place = document.getElementById("pair-list");
  if (!data.pairs.length) place.append(element("p", "Fewer than two validations so far.", "note"));
  for (const pair of data.pairs) {
    const two = element("div", null, "two");
    for (const when of ["before", "after"]) {
      const side = element("div");
      side.append(element("h3", when + ": step " + pair[when].step), reply(pair[when]));
      two.append(side);
    }
    place.append(card(pair.after, two));
  }
}

function options(select, values) {
  for (const value of values) {
    const option = element("option", value);
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
  const form = document.getElementById("filter"), wanted = Object.fromEntries(new FormData(form));
  const words = wanted.text.toLowerCase();
  let found = data.samples.filter((s) =>
    (!wanted.step || String(s.step) === wanted.step) && (!wanted.source || s.source === wanted.source) &&
    (!wanted.modality || modality(s) === wanted.modality) &&
    (!wanted.part || wanted.below === "" || (value(s, wanted.part) ?? Infinity) <= Number(wanted.below)) &&
    (!wanted.part || wanted.above === "" || (value(s, wanted.part) ?? -Infinity) >= Number(wanted.above)) &&
    (!words || (s.question + " " + s.reply).toLowerCase().includes(words)));
  if (wanted.sort) found = [...found].sort((a, b) => sortKey(b, wanted.sort) - sortKey(a, wanted.sort));
  const shown = found.slice(0, 50), place = document.getElementById("sample-list");
  document.getElementById("count").textContent =
    found.length + " of " + data.samples.length + " samples in this file" + (found.length > 50 ? "; the first 50" : "");
  place.replaceChildren(...shown.map((sample) => card(sample, reply(sample))));
}

// The URL's fragment keeps the filter, so that it can be shared and survives a reload.
function rememberFilter() {
  const filled = [...new FormData(document.getElementById("filter"))].filter(([, wanted]) => wanted !== "");
  history.replaceState(null, "", "#" + new URLSearchParams(filled));
}

function reloadLater() {
  setTimeout(() => {
    if (document.getElementById("filter").contains(document.activeElement)) reloadLater();
    else location.reload();
  }, data.refresh * 1000);
}

function start() {
  const form = document.getElementById("filter"), first = data.samples[0];
  const names = first ? ["overall", ...Object.keys(first.parts)] : [];
  const differences = names.includes("embed") && names.includes("llm") ? ["embed-llm", "llm-exact"] : [];
  options(form.step, ["", ...new Set(data.samples.map((s) => s.step))]);
  options(form.source, ["", ...new Set(data.samples.map((s) => s.source))]);
  options(form.modality, ["", ...new Set(data.samples.map(modality))]);
  options(form.part, ["", ...names]);
  options(form.sort, ["", ...differences, ...names]);
  for (const [name, wanted] of new URLSearchParams(location.hash.slice(1)))  // report.html#part=llm&below=0.5
    if (form.elements[name]) form.elements[name].value = wanted;
  form.addEventListener("input", () => { rememberFilter(); drawSamples(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  dark.addEventListener("change", drawCharts);
  drawCharts();
  drawPairs();
  drawSamples();
  document.body.dataset.drawn = "yes";
  if (data.refresh) reloadLater();
}

start();
