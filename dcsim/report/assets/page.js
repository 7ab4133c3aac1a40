// Draws the report's charts in the reader's colour scheme, and again when that changes or the page is printed.
"use strict";
(function () {
  // Okabe and Ito's palette for colour-blind readers, lightened for the dark; "text" and "quiet" follow the page.
  var THEMES = {
    light: {
      colours: ["#0072b2", "#d55e00", "#009e73", "#a6407c", "#8a6d00", "#3a86b7", "#5b5b5b", "#7b3fb5"],
      text: "#1b1f24", quiet: "#59636e", grid: "#d5dae0", ground: "#f6f7f9", hover: "#ffffff",
      heat: [[0, "#e9edf2"], [0.5, "#66a3cc"], [1, "#063f66"]]
    },
    dark: {
      colours: ["#56b4e9", "#f0944d", "#3fcf9f", "#e58fc1", "#e6c84f", "#9fd3f5", "#b8bec6", "#c5a3f0"],
      text: "#e6e9ed", quiet: "#9aa4af", grid: "#363d45", ground: "#1d2126", hover: "#14171b",
      heat: [[0, "#272d34"], [0.5, "#2f7cb0"], [1, "#c4e6fb"]]
    }
  };
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var printing = false;
  var PAGE_HEIGHT = 820; // of a chart on paper, in CSS pixels: A4 and Letter with heading and caption

  function theme() { return THEMES[dark.matches && !printing ? "dark" : "light"]; }

  function colour(slot, t) {
    return typeof slot === "number" ? t.colours[slot % t.colours.length] : t[slot];
  }

  function coloured(trace, t) {
    var c = colour(trace.meta.slot, t), copy = Object.assign({}, trace);
    if (trace.line) { copy.line = Object.assign({ color: c }, trace.line); }
    if (trace.marker) {
      copy.marker = Object.assign({ color: c }, trace.marker);
      copy.marker.line = Object.assign({ color: t.ground }, trace.marker.line);
    }
    if (trace.type === "heatmap") { copy.colorscale = t.heat; }
    ["error_x", "error_y"].forEach(function (bar) {
      if (trace[bar]) { copy[bar] = Object.assign({ color: c }, trace[bar]); }
    });
    return copy;
  }

  function themed(layout, t) {
    var copy = Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: t.text, size: 13 },
      margin: { l: 70, r: 45, t: 20, b: 55 },
      modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: t.grid, activecolor: t.text }, hoverlabel: { bgcolor: t.hover, bordercolor: t.grid, font: { color: t.text } }
    }, layout);
    if (printing) { copy.height = Math.min(copy.height, PAGE_HEIGHT); }
    copy.legend = Object.assign({ orientation: "h", y: 1.01, yanchor: "bottom", x: 0, traceorder: "normal" }, layout.legend);
    Object.keys(copy).forEach(function (key) {
      if (/^[xy]axis/.test(key)) {
        copy[key] = Object.assign({ gridcolor: t.grid, zerolinecolor: t.grid, linecolor: t.grid, automargin: true }, copy[key]);
      }
    });
    return copy;
  }

  function chosen(box) {
    var select = box.parentNode.querySelector("select");
    return figures[box.dataset.figure][select ? select.selectedIndex : 0];
  }

  function draw(box) {
    var t = theme(), figure = chosen(box);
    Plotly.react(box, figure.data.map(function (trace) { return coloured(trace, t); }), themed(figure.layout, t),
      { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] });
    var note = box.parentNode.querySelector(".note");
    if (note) { note.textContent = figure.note || ""; }
  }

  function drawAll() { document.querySelectorAll(".chart").forEach(draw); }

  document.querySelectorAll(".chart").forEach(function (box) {
    var select = box.parentNode.querySelector("select");
    if (select) { select.addEventListener("change", function () { draw(box); }); }
  });
  dark.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", function () { printing = true; drawAll(); });
  window.addEventListener("afterprint", function () { printing = false; drawAll(); });
  drawAll();
})();
