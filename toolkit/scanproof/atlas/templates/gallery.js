"use strict";
(() => {
  const dialog = document.querySelector("dialog");
  const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
  let shown = null;

  function show(figure) {
    shown = figure;
    const article = figure.closest("article"), name = article.querySelector("h3").textContent;
    const clean = article.querySelector(".image"), image = figure.querySelector(".image"), error = figure.querySelector(".error");
    const title = figure.querySelector("figcaption b").textContent;
    dialog.querySelector("h2").textContent = `${name}, ${title.toLowerCase()}`;
    part("clean").src = clean.src;
    part("clean").alt = clean.alt;
    part("shifted").src = image.src;
    part("shifted").alt = image.alt;
    part("caption").textContent = [...figure.querySelectorAll("figcaption b, figcaption span")].map((e) => e.textContent).join(", ");
    // the clean image has no error of its own and stands alone
    for (const name of ["shifted", "error"]) part(name).closest("figure").hidden = !error;
    if (error) {
      part("error").src = error.src;
      part("error").alt = error.alt;
    }
    for (const button of dialog.querySelectorAll("[data-step]")) button.disabled = !neighbour(Number(button.dataset.step));
  }

  function neighbour(step) {
    const other = step < 0 ? shown.previousElementSibling : shown.nextElementSibling;
    return other?.matches("figure") ? other : null;
  }

  function move(step) {
    const other = neighbour(step);
    if (other) show(other);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".strip button");
    if (!button) return;
    show(button.closest("figure"));
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (event.target === dialog || button?.matches("[data-close]")) dialog.close();
    else if (button) move(Number(button.dataset.step));
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
})();
