"use strict";
(() => {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  // numbers travel as integers in units of the metric's last digit
  for (const group of Object.values(payload)) {
    group.values.forEach((options, m) => {
      const unit = 10 ** group.metrics[m].digits;
      for (const list of options.flat(3)) list?.forEach((value, i) => { if (value !== null) list[i] = value / unit; });
    });
  }
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };

  const format = (value, digits) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
  const interval = (low, high, digits) =>
    low === null || high === null ? "" : `${format(low, digits)} to ${format(high, digits)}`;
  const words = (name) => (name === "none" ? "no shift" : name.replaceAll("_", " "));
  const place = (name) => (name === "all" ? "all sites" : name);

  // paper has no window to fit into: the style sheet gives plots this width, in pixels, when it prints
  const PRINT_WIDTH = 216;
  let printing = false;

  // ---- plots -------------------------------------------------------------------------------------------------

  function chosen(root, what) {
    const select = root.querySelector(`[data-select="${what}"]`);
    return select ? Number(select.value) : 0;
  }

  function traces(group, metric, severity, lines) {
    const bands = [], drawn = [];
    lines.forEach((points, i) => {
      if (points === null) return;
      const [value, low, high] = points;
      const steps = severity.map((_, k) => k);
      const known = steps.filter((k) => low[k] !== null && high[k] !== null);
      if (known.length > 1) {
        const back = [...known].reverse();
        bands.push({
          ...group.series[i].band,
          x: [...known, ...back].map((k) => severity[k]),
          y: [...known.map((k) => high[k]), ...back.map((k) => low[k])],
        });
      }
      const shown = steps.filter((k) => value[k] !== null);
      const hover = shown.map((k) => {
        const range = interval(low[k], high[k], metric.digits);
        return format(value[k], metric.digits) + (range && `<br>(${range})`);
      });
      drawn.push({
        ...group.series[i].line,
        x: shown.map((k) => severity[k]),
        y: shown.map((k) => value[k]),
        customdata: hover,
      });
    });
    return [...bands, ...drawn];
  }

  function spoken(group, metric, facet, lines) {
    const parts = lines.flatMap((points, i) => {
      if (points === null) return [];
      const known = points[0].map((_, k) => k).filter((k) => points[0][k] !== null);
      const said = [known[0], known.at(-1)].filter((k, j, all) => k !== undefined && all.indexOf(k) === j)
        .map((k) => `${format(points[0][k], metric.digits)} at severity ${facet.severity[k]}`);
      return [`${group.series[i].label} ${said.join(", ")}`];
    });
    return `${metric.title} under ${words(facet.shift)}, ${place(facet.site)}: ${parts.join("; ") || "not tested"}`;
  }

  function draw(div) {
    const root = div.closest(".plots"), group = payload[root.dataset.group], index = Number(div.dataset.facet);
    const m = chosen(root, "metric"), option = chosen(root, "option");
    const metric = group.metrics[m], facet = group.facets[index], lines = group.values[m][option][index];
    const data = traces(group, metric, facet.severity, lines);
    div.setAttribute("aria-label", spoken(group, metric, facet, lines));
    div.classList.toggle("empty", data.length === 0);
    if (data.length === 0) {
      Plotly.purge(div);
      div.textContent = "not tested";
      return;
    }
    if (!div.classList.contains("js-plotly-plot")) div.textContent = "";
    // plotly writes into the layout it is given, so each plot gets its own copy
    Plotly.react(div, data, { ...structuredClone(metric.layout), ...(printing && { width: PRINT_WIDTH }) }, CONFIG);
  }

  const waiting = new Set();
  const shown = (div) => !div.closest(".cell").hidden;
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        watcher.unobserve(entry.target);
        waiting.delete(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "500px" });

  for (const root of document.querySelectorAll(".plots")) {
    const plots = [...root.querySelectorAll(".plot")], group = payload[root.dataset.group];
    const cells = [...root.querySelectorAll(".cell[data-site]")];
    const guess = root.querySelector("[data-chance]");
    const legend = () => { guess.hidden = group.metrics[chosen(root, "metric")].chance === null; };
    for (const div of plots) {
      waiting.add(div);
      watcher.observe(div);
    }
    root.addEventListener("change", () => {
      legend();
      const site = chosen(root, "site");
      for (const cell of cells) cell.hidden = Number(cell.dataset.site) !== site;
      for (const div of plots) if (!waiting.has(div) && shown(div)) draw(div);
    });
    legend();
  }
  // paper cannot be unfolded: all but the tables of all numbers, which would fill a book, are opened for it
  let folded = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    folded = [...document.querySelectorAll("main details:not([open]):not(.numbers)")];
    for (const details of folded) details.open = true;
    for (const div of document.querySelectorAll(".plot")) if (shown(div)) draw(div);
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    for (const details of folded) details.open = false;
    for (const div of document.querySelectorAll(".plot")) {
      if (!shown(div)) continue;
      draw(div);
      waiting.delete(div);
    }
  });

  // ---- tables ------------------------------------------------------------------------------------------------

  function cell(tag, text, kind) {
    const element = document.createElement(tag);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  }

  function rowsOf(group, m) {
    const rows = [];
    group.facets.forEach((facet, f) => group.options.forEach((option, o) => {
      group.values[m][o][f].forEach((points, s) => {
        if (points === null) return;
        const at = new Map(facet.severity.map((severity, k) => [severity, points.map((list) => list[k])]));
        const names = [words(facet.shift), place(facet.site), option, group.series[s].label];
        rows.push({ names, shown: names.filter((_, i) => group.heads[i]), at });
      });
    }));
    return rows;
  }

  function fill(body, rows, severities, digits) {
    body.replaceChildren(...rows.map((row) => {
      const line = document.createElement("tr");
      row.shown.forEach((name) => line.append(cell("td", name)));
      severities.forEach((severity) => {
        const [value, low, high] = row.at.get(severity) ?? [null, null, null];
        const number = cell("td", "", "number");
        number.append(cell("span", value === null ? "–" : format(value, digits), "value"));
        const range = value === null ? "" : interval(low, high, digits);
        if (range) number.append(cell("span", range, "interval"));
        line.append(number);
      });
      return line;
    }));
  }

  function table(group, m) {
    const metric = group.metrics[m], rows = rowsOf(group, m);
    const severities = [...new Set(group.facets.flatMap((facet) => facet.severity))].sort((a, b) => a - b);
    const element = document.createElement("table"), head = element.createTHead().insertRow();
    const body = element.createTBody();
    const named = [...group.heads.keys()].filter((i) => group.heads[i]);
    const columns = [
      ...named.map((i) => ({ name: group.heads[i], kind: "", key: (row) => row.names[i] })),
      ...severities.map((severity) => ({
        name: severity === 0 ? "No shift" : `Severity ${severity}`, kind: "number",
        key: (row) => row.at.get(severity)?.[0] ?? null,
      })),
    ];
    for (const column of columns) {
      const th = cell("th", "", column.kind), button = cell("button", column.name);
      th.scope = "col";
      button.type = "button";
      button.addEventListener("click", () => {
        const down = th.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of head.cells) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
        rows.sort((a, b) => {
          const [x, y] = [column.key(a), column.key(b)];
          if (x === null || y === null) return (x === null) - (y === null);
          return down * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
        });
        fill(body, rows, severities, metric.digits);
      });
      th.append(button);
      head.append(th);
    }
    fill(body, rows, severities, metric.digits);
    return element;
  }

  for (const details of document.querySelectorAll(".numbers")) {
    details.addEventListener("toggle", () => {
      const box = details.querySelector(".scroll");
      if (details.open && !box.firstChild) box.append(table(payload[details.dataset.group], Number(details.dataset.metric)));
    });
  }

  // ---- contents ----------------------------------------------------------------------------------------------

  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const sections = [...document.querySelectorAll("main > section")];
  function mark() {
    const read = sections.findLast((section) => section.getBoundingClientRect().top < innerHeight / 3) ?? sections[0];
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get((end ? sections.at(-1) : read).id)?.setAttribute("aria-current", "true");
  }
  window.addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
  mark();
})();
