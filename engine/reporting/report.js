"use strict";
(() => {
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // In CSS pixels: the stylesheet's zoom fits it into one of two columns of an A4 page.
  const PRINTED_WIDTH = 600;
  // Below this a cell has no room for its figure, which the CSV has.
  const NARROW = 420;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const read = (section) =>
    JSON.parse(section.querySelector("script[type='application/json']").textContent);

  const draw = (section) => {
    const plot = section.querySelector(".plot");
    if (plot.dataset.drawn || plot.offsetWidth === 0) return;
    plot.dataset.drawn = "yes";
    const figure = read(section);
    if (plot.offsetWidth < NARROW) {
      for (const trace of figure.data) if (trace.type === "heatmap") delete trace.texttemplate;
    }
    figure.layout.font = { ...figure.layout.font, color: colour("--text") };
    // On a resize Plotly takes the height of this element, not the figure's.
    plot.style.height = `${figure.layout.height}px`;
    Plotly.newPlot(plot, figure.data, figure.layout, {
      responsive: true, displaylogo: false, displayModeBar: false,
    });
  };
  const sections = [...document.querySelectorAll(".figure")];
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "600px" });
  sections.forEach((section) => watcher.observe(section));

  const relayout = (changes) => {
    for (const section of sections) {
      const plot = section.querySelector(".plot");
      if (plot.dataset.drawn) Plotly.relayout(plot, changes);
    }
  };
  dark.addEventListener("change", () => relayout({ "font.color": colour("--text") }));
  addEventListener("beforeprint", () => {
    sections.forEach(draw);
    relayout({ "font.color": "#000", width: PRINTED_WIDTH });
  });
  addEventListener("afterprint", () => relayout({ "font.color": colour("--text"), width: null }));

  const choose = document.getElementById("choose");
  choose?.addEventListener("change", () => {
    for (const block of document.querySelectorAll(".variant")) {
      block.hidden = block.dataset.of !== choose.value;
      block.querySelectorAll(".figure").forEach(draw);
    }
  });

  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const saveImage = (section, format) => {
    const figure = read(section);
    const room = 48;
    const layout = {
      ...figure.layout,
      title: { text: figure.headline, x: 0, xanchor: "left", pad: { t: 8, l: 8 },
        y: 1, yanchor: "top", yref: "container", font: { size: 15 } },
      font: { ...figure.layout.font, color: "#111827" },
      paper_bgcolor: "#ffffff",
      height: (figure.layout.height || 400) + room,
      margin: { ...figure.layout.margin, t: (figure.layout.margin?.t || 24) + room },
    };
    Plotly.downloadImage({ data: figure.data, layout },
      { format, width: 1000, height: layout.height, scale: 2, filename: section.id });
  };
  document.addEventListener("click", (event) => {
    const format = event.target.dataset?.save;
    if (!format) return;
    const section = event.target.closest(".figure");
    if (format === "json") {
      save("report.json", "application/json", document.getElementById("report-data").textContent);
    } else if (format === "csv") {
      save(`${section.id}.csv`, "text/csv", read(section).csv);
    } else {
      saveImage(section, format);
    }
  });
})();
