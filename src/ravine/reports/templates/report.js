"use strict";
// Draws every figure of the page, in the colours the reader's system asks for, and again when it asks anew.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const partners = JSON.parse(document.getElementById("dark-partners").textContent);
  const touch = window.matchMedia("(pointer: coarse)").matches;

  function recoloured(value) {
    if (typeof value === "string") return Object.hasOwn(partners, value) ? partners[value] : value;
    if (Array.isArray(value)) return value.map(recoloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, recoloured(part)]));
  }

  async function draw(box) {
    const drawn = JSON.parse(document.getElementById(box.id + "-data").textContent);
    const figure = dark.matches ? recoloured(drawn) : drawn;
    if (touch) figure.layout.dragmode = false; // a finger scrolls the page
    await Plotly.react(box, figure.data, figure.layout, { responsive: true, displayModeBar: false });
    box.dataset.drawn = dark.matches ? "dark" : "light";
  }

  function drawAll() {
    for (const box of document.querySelectorAll(".plot")) draw(box);
  }

  dark.addEventListener("change", drawAll);
  drawAll();
})();
