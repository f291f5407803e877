// Shows the results that the page carries. Nothing is fetched.
"use strict";

const results = JSON.parse(document.getElementById("results").textContent);
const metrics = new Map(results.metrics.map((metric) => [metric.name, metric]));
const byId = (id) => document.getElementById(id);

// Making elements: text is always text, so that no name in the results can be markup.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function format(value, unit) {
  if (value === undefined || value === null) return "–";
  switch (unit) {
    case "share": return `${(value * 100).toFixed(Math.abs(value) < 0.1 ? 2 : 1)} %`;
    case "bytes": {
      const units = ["B", "KB", "MB", "GB", "TB"];
      let step = 0;
      while (value >= 1000 && step + 1 < units.length) { value /= 1000; step += 1; }
      return `${value.toFixed(1)} ${units[step]}`;
    }
    case "seconds": return `${value.toFixed(2)} s`;
    case "nanoseconds": return `${value.toFixed(0)} ns`;
    case "money": return value.toFixed(2);
    default: return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
  }
}

const mean = (strategy, name) => strategy.metrics[name]?.mean;
const show = (strategy, name) => format(mean(strategy, name), metrics.get(name)?.unit);
const interval = (estimate, unit) =>
  estimate ? `95 %: ${format(estimate.low, unit)} to ${format(estimate.high, unit)}` : "no value";

// Charts take their colours from the style sheet, and are drawn again when the theme changes.
const charts = [];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const palette = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8b95a5",
  "#2f9e9e", "#c2410c", "#7c83fd", "#84a02b"];
const familyOf = (strategy) => strategy.knob?.family ?? strategy.name;
const families = [...new Set(results.strategies.map(familyOf))];
const colourOf = (family) => palette[Math.max(0, families.indexOf(family)) % palette.length];

function axis(metric, extra = {}) {
  return {
    title: { display: true, text: metric.title, color: colour("faint") },
    ticks: { color: colour("faint"), callback: (value) => format(value, metric.unit) },
    grid: { color: colour("grid") },
    ...extra,
  };
}

function draw(id, config) {
  charts.find((chart) => chart.id === id)?.chart.destroy();
  const chart = new Chart(byId(id), config);
  const known = charts.find((entry) => entry.id === id);
  if (known) known.chart = chart; else charts.push({ id, chart });
}

// Which strategies no other beats on both axes.
function front(points, x, y) {
  const sign = (metric) => (metric.better === "lower" ? 1 : -1);
  const ordered = [...points].sort((a, b) => sign(x) * (a.x - b.x) || sign(y) * (a.y - b.y));
  let best = Infinity;
  return ordered.filter((point) => {
    const merit = sign(y) * point.y;
    if (merit >= best) return false;
    best = merit;
    return true;
  });
}

function pareto() {
  const [x, y] = [metrics.get(byId("x").value), metrics.get(byId("y").value)];
  const points = results.strategies
    .map((strategy) => ({ strategy, x: mean(strategy, x.name), y: mean(strategy, y.name) }))
    .filter((point) => point.x !== undefined && point.y !== undefined);
  const datasets = families.map((family) => ({
    label: family,
    data: points.filter((point) => familyOf(point.strategy) === family),
    backgroundColor: colourOf(family),
    // Where points lie on each other, each has an edge.
    borderColor: colour("card"),
    pointRadius: 6,
    pointHoverRadius: 9,
  }));
  datasets.push({
    label: "not beaten",
    data: front(points, x, y),
    type: "line",
    borderColor: colour("faint"),
    borderDash: [5, 4],
    borderWidth: 1.5,
    pointRadius: 0,
    pointHitRadius: 0,
    pointStyle: "line",
  });
  const label = ({ raw }) => [
    raw.strategy.name,
    ...[x, y].map((metric) =>
      `${metric.title}: ${show(raw.strategy, metric.name)} (${interval(raw.strategy.metrics[metric.name], metric.unit)})`),
  ];
  draw("pareto", {
    type: "scatter",
    data: { datasets },
    options: {
      maintainAspectRatio: false,
      animation: false,
      scales: { x: axis(x), y: axis(y) },
      onClick: (_, [hit]) => hit && reveal(datasets[hit.datasetIndex].data[hit.index].strategy.name),
      plugins: {
        legend: { position: matchMedia("(max-width: 640px)").matches ? "bottom" : "right", labels: { color: colour("ink"), usePointStyle: true } },
        tooltip: { callbacks: { label }, displayColors: false },
      },
    },
  });
}

// A table that can be copied as Markdown.
function table(section, head, rows) {
  const element = section.querySelector("table");
  element.replaceChildren(
    make("thead", {}, make("tr", {}, ...head.map((cell) => (cell instanceof Node ? cell : make("th", { textContent: cell }))))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells))),
  );
  if (section.querySelector(".copy")) return;
  const copy = make("button", { className: "copy", type: "button", textContent: "copy as Markdown" });
  copy.onclick = async () => {
    await navigator.clipboard.writeText(markdown(element));
    copy.textContent = "copied";
    setTimeout(() => { copy.textContent = "copy as Markdown"; }, 1500);
  };
  section.append(copy);
}

function markdown(element) {
  const rows = [...element.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim().replaceAll("|", "\\|")));
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(rows[0]), line(rows[0].map((_, column) => (column ? "---:" : "---"))), ...rows.slice(1).map(line)].join("\n");
}

const heading = (metric) => make("th", { textContent: metric.title, title: `${metric.formula}\n${metric.source}` });

// The value that is best in a column, where one direction is better.
function best(name, strategies) {
  const metric = metrics.get(name);
  const values = strategies.map((strategy) => mean(strategy, name)).filter((value) => value !== undefined);
  if (metric.better === "neither" || values.length < 2) return undefined;
  const merit = { higher: (value) => -value, lower: (value) => value, zero: Math.abs }[metric.better];
  return values.reduce((a, b) => (merit(b) < merit(a) ? b : a));
}

// A share of a cell, within its padding.
const barWidth = (share) => `calc((100% - 8px) * ${Math.min(1, Math.max(0, share))})`;

function cells(strategy, names, strategies) {
  return names.map((name) => {
    const metric = metrics.get(name);
    const estimate = strategy.metrics[name];
    const cell = make("td", { textContent: show(strategy, name), className: "cell", title: interval(estimate, metric.unit) });
    if (estimate && estimate.mean === best(name, strategies)) cell.classList.add("best");
    if (estimate && metric.unit === "share" && metric.better !== "zero") {
      const bar = make("i");
      bar.style.width = barWidth(estimate.mean);
      cell.append(bar);
    }
    return cell;
  });
}

// Whether a mean error is further from zero than chance explains.
function bias(estimate) {
  if (!estimate) return make("td", { textContent: "–" });
  const error = results.seeds > 1 ? estimate.deviation / Math.sqrt(results.seeds) : 0;
  const z = Math.abs(estimate.mean) < 1e-12 ? 0 : estimate.mean / error;
  // As the program does: of fewer than 200 runs the standard error is too rough.
  const verdict = z !== 0 && results.seeds < 200 ? "too few seeds to tell" : Math.abs(z) < 4 ? "unbiased" : "biased";
  const cell = make("td", { textContent: `${format(estimate.mean, "share")} · ${verdict}` });
  cell.title = `z = ${z.toFixed(1)} over ${results.seeds} seeds; ${interval(estimate, "share")}`;
  if (verdict === "biased") cell.classList.add("biased");
  return cell;
}

const columns = ["kept_ratio", "egress_ratio", "network_ratio", "anomaly_recall", "type_coverage", "completeness",
  "latency_p99_error", "decision_latency_mean", "memory_peak", "memory_mean", "cpu_ns_per_span_agents",
  "cpu_ns_per_span_gateway", "storage", "money_per_month"];

function reveal(name) {
  byId("strategy").value = name;
  traces();
  byId("missed").scrollIntoView({ behavior: "smooth" });
}

const named = (strategy) => {
  const link = make("a", { textContent: strategy.name, title: strategy.about });
  link.onclick = () => reveal(strategy.name);
  return make("td", {}, link);
};

function summary() {
  const head = ["strategy", ...columns.map((name) => heading(metrics.get(name))), "number of traces"];
  const rows = results.strategies.map((strategy) =>
    [named(strategy), ...cells(strategy, columns, results.strategies), bias(strategy.metrics.count_error)]);
  table(byId("summary"), head, rows);
  const names = [...metrics.keys()];
  table(byId("all"), ["strategy", ...names.map((name) => heading(metrics.get(name)))],
    results.strategies.map((strategy) => [named(strategy), ...cells(strategy, names, results.strategies)]));
}

function faults() {
  const section = byId("faults");
  const kinds = Object.entries(results.workload.anomalies).filter(([, count]) => count > 0);
  section.hidden = kinds.length === 0;
  if (section.hidden) return;
  const rows = results.strategies.map((strategy) => [named(strategy), ...kinds.map(([kind]) => {
    const estimate = strategy.recall_by_fault[kind];
    const cell = make("td", { className: "cell", textContent: format(estimate?.mean, "share"), title: interval(estimate, "share") });
    const bar = make("i");
    bar.style.width = barWidth(estimate?.mean ?? 0);
    cell.append(bar);
    return cell;
  })]);
  table(section, ["strategy", ...kinds.map(([kind, count]) => `${kind} (${count})`)], rows);
}

// What goes over each link.
function links() {
  const rows = results.strategies.flatMap((strategy) => strategy.hops.map((hop) => {
    const share = hop.bytes / Math.max(strategy.hops[0].bytes, 1);
    const figures = [hop.name, hop.requests, hop.spans, format(hop.bytes, "bytes"), format(hop.compressed, "bytes"), format(share, "share")];
    return [named(strategy), ...figures.map((text) => make("td", { textContent: text }))];
  }));
  table(byId("links"), ["strategy", "link", "messages", "spans", "bytes", "compressed", "of what services send"], rows);
}

// Processes beside their simulation.
function live() {
  const section = byId("live");
  section.hidden = !results.live?.length;
  if (section.hidden) return;
  const shown = ["anomaly_recall", "completeness", "network_ratio", "egress_ratio", "decision_latency_p50", "decision_latency_p99"];
  const milliseconds = (seconds) => `${(seconds * 1000).toFixed(1)} ms`;
  const off = (hop) => `${hop.name} ${((hop.simulated / Math.max(hop.live, 1) - 1) * 100).toFixed(1)} %`;
  const rows = results.live.map((run) => [
    run.strategy,
    run.system,
    run.faults.join(", ") || "none",
    ...shown.map((name) => format(run.metrics[name], metrics.get(name).unit)),
    run.components.map((tier) => `${tier.name} ${format(tier.cpu_ns_per_span, "nanoseconds")}`).join(", "),
    run.components.map((tier) => `${tier.name} ${format(tier.peak_rss, "bytes")} / ${format(tier.mean_rss, "bytes")}`).join(", "),
    `${milliseconds(run.export.p50)} / ${milliseconds(run.export.p99)}`,
    `${milliseconds(run.export.direct_p50)} / ${milliseconds(run.export.direct_p99)}`,
    run.difference ? `${run.difference.only_simulated} / ${run.difference.only_live} / ${run.difference.both}` : "–",
    run.difference ? run.difference.hops.map(off).join(", ") : "–",
  ].map((text) => make("td", { textContent: text })));
  table(section, ["strategy", "run by", "faults", ...shown.map((name) => heading(metrics.get(name))), "CPU per span", "RSS, peak / mean",
    "export p50 / p99", "directly to the store", "kept by the simulation only / processes only / both", "simulated bytes, with frames, against wire"], rows);
}

function members() {
  return results.sweep.filter((strategy) => strategy.knob?.family === byId("family").value)
    .sort((a, b) => a.knob.value - b.knob.value);
}

function whatif(reset) {
  const family = members();
  const slider = byId("slider");
  slider.max = family.length - 1;
  if (reset) slider.value = Math.floor(family.length / 2);
  const chosen = family[slider.value];
  byId("knob").textContent = `${chosen.knob.parameter}: ${chosen.knob.value}`;
  const names = ["kept_ratio", "egress_ratio", "anomaly_recall", "type_coverage", "latency_p99_error", "entry_count_error",
    "memory_peak", "storage", "cpu_ns_per_span", "money_per_month"];
  byId("tiles").replaceChildren(...names.map((name) =>
    make("div", { className: "tile", title: interval(chosen.metrics[name], metrics.get(name).unit) },
      make("b", { textContent: show(chosen, name) }), make("span", { textContent: metrics.get(name).title }))));
  const lines = ["egress_ratio", "anomaly_recall", "type_coverage"];
  draw("sweep", {
    type: "line",
    data: {
      labels: family.map((strategy) => strategy.knob.value),
      datasets: lines.map((name, index) => ({
        label: metrics.get(name).title,
        data: family.map((strategy) => mean(strategy, name) ?? null),
        borderColor: palette[index],
        backgroundColor: palette[index],
        clip: 10,
        pointRadius: family.map((_, place) => (place === Number(slider.value) ? 7 : 3)),
      })),
    },
    options: {
      maintainAspectRatio: false,
      animation: false,
      scales: {
        x: axis({ title: chosen.knob.parameter, unit: "number" }, { ticks: { color: colour("faint") } }),
        y: axis({ title: "share", unit: "share" }, { min: 0, max: 1 }),
      },
      plugins: {
        legend: { labels: { color: colour("ink") } },
        tooltip: { callbacks: { label: ({ dataset, parsed }) => `${dataset.label}: ${format(parsed.y, "share")}` } },
      },
    },
  });
}

function traces() {
  const strategy = results.strategies.find((found) => found.name === byId("strategy").value);
  byId("trace").replaceChildren(...strategy.missed.map((trace, index) =>
    make("option", { value: index, textContent: `${trace.fault}, ${trace.ms.toFixed(0)} ms, ${trace.id.slice(-8)}` })));
  waterfall();
}

function waterfall() {
  const strategy = results.strategies.find((found) => found.name === byId("strategy").value);
  const trace = strategy.missed[byId("trace").value];
  if (!trace) {
    const text = results.workload.labelled ? "It kept something of every anomaly." : "Nothing is known of anomalies.";
    byId("waterfall").replaceChildren(make("p", { textContent: text }));
    return;
  }
  const scale = (ms) => `${(ms / Math.max(trace.ms, 0.001)) * 100}%`;
  const rows = trace.spans.map((span) => {
    const bar = make("i");
    bar.style.left = scale(span.start_ms);
    bar.style.width = scale(span.ms);
    const name = make("div", { className: "name", textContent: span.operation, title: span.operation });
    name.style.paddingLeft = `${Math.min(span.depth, 12) * 12}px`;
    return make("div", { className: span.error ? "span error" : "span" }, name,
      make("div", { className: "track" }, bar), make("div", { className: "ms", textContent: `${span.ms.toFixed(1)} ms` }));
  });
  const rest = trace.more ? [make("p", { className: "hint", textContent: `and ${trace.more} more spans` })] : [];
  byId("waterfall").replaceChildren(make("p", { className: "hint", textContent: `trace ${trace.id}` }), ...rows, ...rest);
}

function methods() {
  const { workload, machine, prices } = results;
  const odd = Object.entries(workload.oddities).filter(([, count]) => count > 0);
  const facts = [
    `Each strategy was run ${results.seeds} times (seeds ${results.first_seed} to ${results.first_seed + results.seeds - 1}), each time
     with other trace ids and otherwise the same traffic: what varies is what sampling leaves to chance. Each mark of a slider was
     run fewer times. Intervals are Student's, at 95 %. A mean error that is four standard errors or more from zero is called biased, if there are 200 seeds or more to tell.`,
    `The samplers are Forebay's own, run in virtual time: agents where the configurations have some, and one gateway. CPU time and memory are those of the samplers of each
     tier, without network, parsing and compression; only CPU time, and money with it, depends on the machine.`,
    `Prices, in any one currency: ${Object.entries(prices).map(([what, price]) => `${what.replaceAll("_", " ")} ${price}`).join(", ")}.
     A month is one of such traffic.`,
    `Odd in the input: ${odd.map(([what, count]) => `${count} ${what.replaceAll("_", " ")}`).join(", ") || "nothing"}.`,
    `sampler-bench ${results.program} on ${machine.processor} (${machine.cores} cores), Linux ${machine.kernel}.`,
  ];
  byId("method").replaceChildren(...facts.map((text) => make("p", { textContent: text })),
    make("pre", { textContent: results.command.join(" ") }));
  byId("formulas").replaceChildren(make("thead", {}, make("tr", {}, ...["metric", "name", "formula", "source"].map((text) =>
    make("th", { textContent: text })))), make("tbody", {}, ...results.metrics.map((metric) =>
    make("tr", {}, ...[metric.title, metric.name, metric.formula, metric.source].map((text) => make("td", { textContent: text }))))));
  byId("configurations").replaceChildren(...results.strategies.flatMap((strategy) =>
    [make("p", { textContent: `${strategy.name}: ${strategy.about}` }), make("pre", { textContent: strategy.yaml })]));
}

function options(id, entries, chosen) {
  byId(id).replaceChildren(...entries.map(([value, text]) => make("option", { value, textContent: text, selected: value === chosen })));
}

function drawAll() {
  pareto();
  if (results.sweep.length) whatif(false);
}

function begin() {
  const { workload } = results;
  const anomalies = Object.values(workload.anomalies).reduce((sum, count) => sum + count, 0);
  byId("workload").textContent = `${workload.name}: ${workload.traces} traces of ${workload.types} types, ${workload.spans} spans, `
    + `${format(workload.bytes, "bytes")} in ${workload.seconds.toFixed(0)} s; `
    + (workload.labelled ? `${anomalies} anomalies` : "no labels") + `; ${results.seeds} seeds`;
  const stored = localStorage.getItem("theme");
  const dark = stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").onclick = () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    drawAll();
  };
  const directed = results.metrics.filter((metric) => metric.better === "higher" || metric.better === "lower")
    .filter((metric) => results.strategies.some((strategy) => strategy.metrics[metric.name]));
  const choices = directed.map((metric) => [metric.name, metric.title]);
  options("x", choices, "egress_ratio");
  options("y", choices, workload.labelled && anomalies ? "anomaly_recall" : "type_coverage");
  byId("x").onchange = pareto;
  byId("y").onchange = pareto;
  summary();
  live();
  faults();
  links();
  byId("whatif").hidden = results.sweep.length === 0;
  if (results.sweep.length) {
    const swept = [...new Set(results.sweep.map(familyOf))];
    options("family", swept.map((family) => [family, family]), "tail");
    byId("family").onchange = () => whatif(true);
    byId("slider").oninput = () => whatif(false);
    whatif(true);
  }
  // First one that has something to show.
  const missing = results.strategies.find((strategy) => strategy.missed.length > 0) ?? results.strategies[0];
  options("strategy", results.strategies.map(({ name }) => [name, name]), missing?.name);
  byId("strategy").onchange = traces;
  byId("trace").onchange = waterfall;
  traces();
  methods();
  pareto();
}

begin();
