"use strict";
// Draws figures in the colours the reader's system asks for, and moves the paths that some of them hold.
// A figure is drawn when it comes near the window: a page may hold fifty.
window.ravine = (() => {
  let dark = window.matchMedia("(prefers-color-scheme: dark)"); // or the scheme of a page that lets its reader choose
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const SECONDS = 8; // that a whole walk takes to play
  const figures = new Map(); // name -> {data, layout, walk}
  const waiting = new Map(); // name -> what to do once its figure is there
  let partners = {};

  function recoloured(value) {
    if (typeof value === "string") return Object.hasOwn(partners, value) ? partners[value] : value;
    if (Array.isArray(value)) return value.map(recoloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, recoloured(part)]));
  }

  // Panels over one surface are written with one grid of heights.
  function shared(data) {
    for (const trace of data) {
      if (trace.meta && trace.meta.like !== undefined) trace.z = data[trace.meta.like].z;
    }
    return data;
  }

  function add(name, figure) {
    shared(figure.data);
    figures.set(name, figure);
    if (waiting.has(name)) waiting.get(name)();
    waiting.delete(name);
  }

  async function draw(box) {
    const figure = figures.get(box.id);
    const shown = structuredClone(dark.matches ? recoloured({ data: figure.data, layout: figure.layout }) : figure);
    if (touch) shown.layout.dragmode = false; // a finger scrolls the page
    const paths = figure.walk ? await layered(box, shown) : box;
    const config = { responsive: true, displayModeBar: false };
    await Plotly.react(paths, shown.data, shown.layout, config);
    const controls = document.querySelector(`.walk[data-for="${box.id}"]`);
    if (controls) await (controls.walk ??= walker(box, paths, controls, figure)).show();
    box.dataset.drawn = dark.matches ? "dark" : "light";
  }

  // The level lines stand in a figure of their own beneath the paths, so that a path that moves redraws itself alone.
  async function layered(box, shown) {
    if (!box.firstElementChild) {
      for (const name of ["ground", "paths"]) {
        const layer = document.createElement("div");
        layer.className = `layer ${name}`;
        box.append(layer);
      }
      box.lastElementChild.dataset.new = "";
    }
    const [ground, paths] = box.children;
    const level = (trace) => trace.type === "contour";
    const hidden = Object.fromEntries(
      Object.entries(shown.layout).map(([key, part]) => [key, /^[xy]axis/.test(key) ? { ...part, visible: false } : part]),
    );
    const below = { ...structuredClone(hidden), annotations: [], showlegend: false };
    await Plotly.react(ground, shown.data.filter(level), below, { responsive: true, staticPlot: true });
    // An empty trace keeps its number and its panel.
    shown.data = shown.data.map((t) => (level(t) ? { type: "scatter", x: [], y: [], xaxis: t.xaxis, yaxis: t.yaxis, showlegend: false } : t));
    Object.assign(shown.layout, { plot_bgcolor: "rgba(0, 0, 0, 0)", paper_bgcolor: "rgba(0, 0, 0, 0)" });
    delete shown.layout.coloraxis;
    if ("new" in paths.dataset) {
      delete paths.dataset.new;
      await Plotly.newPlot(paths, [], {});
      paths.on("plotly_relayout", (change) => {
        const axes = Object.entries(change).filter(([key]) => /^[xy]axis/.test(key));
        if (axes.length) Plotly.relayout(ground, Object.fromEntries(axes));
      });
    }
    return paths;
  }

  // How many points of a path have been reached at a step; steps rise.
  function reached(steps, step) {
    let low = 0, high = steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] <= step) low = middle + 1; else high = middle;
    }
    return low;
  }

  function walker(box, paths, controls, figure) {
    const { walk, data } = figure;
    const [play, scrub, slide] = ["play", "step", "rate"].map((name) => controls.querySelector("." + name));
    const [stepText, rateText] = ["step", "rate"].map((name) => controls.querySelector("output." + name + "-text"));
    const all = walk.rates.length; // the last stop of the slider shows every rate
    let playing = 0, drawing = false, again = false;
    let curvesOf = all; // the rate whose loss curves are drawn

    function frame() {
      const step = Number(scrub.value), rate = slide ? Number(slide.value) : all;
      const parts = [], traces = [];
      const set = (trace, from, to) => {
        traces.push(trace);
        parts.push({ x: data[trace].x.slice(from, to), y: data[trace].y.slice(from, to) });
      };
      for (const path of walk.paths) {
        const seen = rate === all || path.rate === null || path.rate === rate;
        const count = seen ? reached(path.steps, step) : 0;
        set(path.line, 0, count);
        traces.push(path.head);
        parts.push({ x: count ? [data[path.line].x[count - 1]] : [], y: count ? [data[path.line].y[count - 1]] : [] });
        if (path.curve === undefined) continue;
        const losses = data[path.curve], at = seen ? reached(losses.x, step) : 0;
        if (rate !== curvesOf) set(path.curve, 0, seen ? losses.x.length : 0);
        traces.push(path.dot);
        parts.push({ x: at ? [losses.x[at - 1]] : [], y: at ? [losses.y[at - 1]] : [] });
      }
      curvesOf = rate;
      return { parts, traces };
    }

    async function show() {
      stepText.textContent = scrub.value;
      if (slide) rateText.textContent = Number(slide.value) === all ? "all" : walk.rates[Number(slide.value)];
      again = true;
      if (drawing) return; // the one under way will draw the newest state
      drawing = true;
      while (again) {
        again = false;
        const { parts, traces } = frame();
        await Plotly.animate(
          paths,
          { data: parts, traces },
          { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0, redraw: false } },
        ).catch(() => undefined); // a newer frame has taken its place
        box.dataset.shown = `${scrub.value}/${slide ? slide.value : all}`;
      }
      drawing = false;
    }

    function stop() {
      cancelAnimationFrame(playing);
      playing = 0;
      play.textContent = "▶ Play";
      play.setAttribute("aria-pressed", "false");
    }

    function start() {
      if (Number(scrub.value) >= walk.steps) scrub.value = 0;
      const from = Number(scrub.value), began = performance.now();
      const pace = walk.steps / (SECONDS * 1000) * (still ? 4 : 1);
      play.textContent = "❚❚ Pause";
      play.setAttribute("aria-pressed", "true");
      const tick = (now) => {
        scrub.value = Math.min(walk.steps, Math.round(from + (now - began) * pace));
        show();
        if (Number(scrub.value) >= walk.steps) stop(); else playing = requestAnimationFrame(tick);
      };
      playing = requestAnimationFrame(tick);
    }

    play.addEventListener("click", () => (playing ? stop() : start()));
    scrub.addEventListener("input", () => { stop(); show(); });
    if (slide) slide.addEventListener("input", show);
    return { show: () => { curvesOf = all; return show(); } }; // drawn anew, with all its curves
  }

  // A figure that is not on the page stands in a file of its own, named by the box.
  function need(box) {
    if (figures.has(box.id)) return draw(box);
    waiting.set(box.id, () => draw(box));
    if (!box.dataset.source) return undefined;
    const script = document.createElement("script");
    script.src = box.dataset.source;
    document.head.append(script);
    return undefined;
  }

  function begin(colours, scheme = dark) {
    partners = colours;
    dark = scheme;
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        need(entry.target);
      }
    }, { rootMargin: "600px" });
    for (const box of document.querySelectorAll(".plot")) near.observe(box);
    dark.addEventListener("change", () => {
      for (const box of document.querySelectorAll(".plot[data-drawn]")) draw(box);
    });
  }

  return { add, begin };
})();
