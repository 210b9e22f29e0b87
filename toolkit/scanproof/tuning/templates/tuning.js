"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("payload").textContent);
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const draw = (div) => {
    const { data, layout } = figures[div.dataset.figure];
    // plotly writes into what it is given
    Plotly.newPlot(div, structuredClone(data), structuredClone(layout), CONFIG);
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "500px" });
  const plots = [...document.querySelectorAll("[data-figure]")];
  for (const div of plots) watcher.observe(div);
  window.addEventListener("beforeprint", () => {
    for (const div of plots) if (!div.classList.contains("js-plotly-plot")) draw(div);
  });

  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "0px 0px -70% 0px" });
  for (const section of document.querySelectorAll("main > section")) spy.observe(section);
})();
