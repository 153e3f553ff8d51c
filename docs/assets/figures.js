"use strict";
// Figures of the gallery in a page of the site: their colours follow the scheme that the reader has chosen there.
function drawFigures(partners) {
  class Scheme extends EventTarget {
    get matches() { return document.body.dataset.mdColorScheme === "slate"; }
  }
  const scheme = new Scheme();
  const told = () => scheme.dispatchEvent(new Event("change"));
  new MutationObserver(told).observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
  ravine.begin(partners, scheme);
}
