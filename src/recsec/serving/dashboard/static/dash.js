// The two charts of the watch, and the switch that holds the page still. All else is HTML.
"use strict";
(() => {
  const places = ["traffic", "looks"].map((id) => document.getElementById(id));
  const live = document.getElementById("live");
  if (!places[0] || !live) return;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let charts = [], last = null;

  const axis = (extra) => ({
    stroke: color("--muted"), font: "12px system-ui, sans-serif", ticks: { show: false },
    grid: { stroke: color("--grid"), width: 1 }, ...extra,
  });
  const time = () => axis({
    grid: { show: false }, space: 70,
    // an empty chart begins at 0: no times, rather than those of 1970
    values: (_, ticks) => ticks.map((t) => (t < 2 ? "" : new Date(1000 * t).toISOString().slice(11, 19))),
  });
  // of the points themselves: uPlot's own guess for a single one is hours wide
  const span = (rows, least) => () =>
    rows.length ? [rows[0][0] - 1, Math.max(rows[rows.length - 1][0], rows[0][0] + least) + 1] : [0, 1];
  const size = (place) => ({ width: place.clientWidth, height: place.clientHeight - 26 });
  const label = (digits) => (_, value) => (value == null ? "–" : value.toPrecision(digits));
  const when = { label: "UTC", value: (_, t) => (t == null ? "–" : new Date(1000 * t).toISOString().slice(11, 19)) };

  function traffic(place, beats) {
    const line = (name, tone, scale, dash) =>
      ({ label: name, stroke: color(tone), width: 2, scale, dash, value: label(3), points: { show: false } });
    return new uPlot({
      ...size(place), cursor: { y: false },
      scales: { x: { time: false, range: span(beats, 20) }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] }, ms: { range: (_, low, high) => [0, Math.max(1, (high || 0) * 1.1)] } },
      axes: [time(), axis({ size: 44 }), axis({ scale: "ms", side: 1, grid: { show: false }, size: 52, values: (_, ticks) => ticks.map((t) => t + " ms") })],
      series: [when, { ...line("requests/s", "--series-0", "y"), fill: color("--mark") }, line("median ms", "--series-2", "ms"), line("95 % ms", "--series-1", "ms", [5, 4])],
    }, [0, 1, 2, 3].map((column) => beats.map((beat) => beat[column])), place);
  }

  function looks(place, found, rules) {
    const lowest = Math.min(1e-3, ...found.map((look) => look[1]), ...rules.map((rule) => rule.level / 4));
    const dots = (name, tone, wide) => ({
      label: name, stroke: color(tone), paths: () => null, value: label(3),
      points: { show: true, size: wide, fill: color(tone), width: 0 },
    });
    const x = found.map((look) => look[0]);
    const level = rules.map((rule) => ({
      label: rule.name, stroke: color("--high"), dash: [6, 4], width: 1.5, points: { show: false }, value: () => "p ≤ " + rule.level,
    }));
    return new uPlot({
      ...size(place), cursor: { y: false },
      scales: {
        x: { time: false, range: span(found, 10) },
        y: { distr: 3, range: () => [10 ** Math.floor(Math.log10(lowest)), 1.3] },
      },
      axes: [time(), axis({ size: 60, filter: (_, ticks) => ticks.map((t) => (Math.abs(Math.log10(t) % 1) < 1e-9 ? t : null)), grid: { stroke: color("--grid"), width: 1, filter: (_, ticks) => ticks.map((t) => (Math.abs(Math.log10(t) % 1) < 1e-9 ? t : null)) }, values: (_, ticks) => ticks.map((t) => (Math.abs(Math.log10(t) % 1) < 1e-9 ? (t < 1e-3 ? t.toExponential(0) : String(t)) : "")) })],
      series: [when, dots("looks", "--series-0", 6), dots("below a rule's share", "--high", 9), ...level],
    }, [x, found.map((look) => (look[2] ? null : look[1])), found.map((look) => (look[2] ? look[1] : null)),
      ...rules.map((rule) => x.map(() => rule.level))], place);
  }

  function draw(data) {
    last = data;
    charts.forEach((chart) => chart.destroy());
    charts = [];
    if (data.beats.length) charts.push(traffic(places[0], data.beats));
    charts.push(looks(places[1], data.looks, data.rules));
  }

  document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
    const pulse = event.detail.type === "pulse";
    if (pulse || !live.checked) event.preventDefault();
    if (pulse && live.checked) draw(JSON.parse(event.detail.data));
  });
  const again = () => last && draw(last);
  dark.addEventListener("change", again);
  new ResizeObserver(again).observe(document.querySelector(".charts"));
  fetch(document.querySelector("[sse-connect]").getAttribute("sse-connect").replace("live", "pulse"))
    .then((answer) => answer.json()).then(draw);
})();
