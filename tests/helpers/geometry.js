({ fold, height }) => {
  const NOISE = 3;
  const LARGEST_MARKER = 20;
  const flaws = [];
  const report = (check, where) =>
    flaws.push({ check, where: where.replace(/\s+/g, " ").trim().slice(0, 90) });
  const shown = (element) =>
    element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const empty = (box) => box.width < 1 || box.height < 1;
  const main = document.querySelector("[data-testid=stMain]") ?? document.documentElement;
  const content = main.scrollHeight;
  const across = (one, other) => Math.min(one.right, other.right) - Math.max(one.left, other.left);
  const down = (one, other) => Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
  const overlap = (one, other) => across(one, other) > NOISE && down(one, other) > NOISE;

  // Nothing outside its box: a page that scrolls sideways, and what sticks out of the window.
  const scrolls = (element) => {
    for (let up = element; up && up !== document.body; up = up.parentElement) {
      if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX) && up !== main) return true;
    }
    return false;
  };
  if (main.scrollWidth > main.clientWidth + 1) report("scrolls sideways", document.title);
  for (const element of main.querySelectorAll("h1, h2, h3, p, img, table, article, section, button")) {
    const box = element.getBoundingClientRect();
    if (empty(box) || !shown(element) || box.right <= innerWidth + 1 || scrolls(element)) continue;
    report("outside the window", element.textContent || element.tagName);
  }

  // No text cut.
  for (const element of main.querySelectorAll("*:not(svg, svg *, canvas, textarea)")) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || element.clientWidth < 2 || !shown(element)) continue;
    for (let up = element, level = 0; up && level < 3; up = up.parentElement, level += 1) {
      if (!/hidden|clip/.test(getComputedStyle(up).overflowX)) continue;
      if (up.scrollWidth > up.clientWidth + 1) report("text is cut", element.textContent);
      break;
    }
  }

  // No element larger than its kind.
  for (const image of main.querySelectorAll("img[src^='data:image/svg']")) {
    const box = image.getBoundingClientRect();
    if (Math.max(box.width, box.height) > LARGEST_MARKER) {
      report("marker is too large", `${box.width} x ${box.height}`);
    }
  }

  // Plots: texts apart from each other and from marks, inside the plot, and free of the toolbar.
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const frame = plot.getBoundingClientRect();
    if (empty(frame) || !shown(plot)) continue;
    const texts = [...plot.querySelectorAll("svg.main-svg text")]
      .filter((t) => t.textContent.trim() && shown(t) && !t.closest(".hoverlayer, .modebar"))
      .map((t) => ({ text: t.textContent, box: t.getBoundingClientRect(), note: t.closest(".annotation"),
        turned: /rotate\((?!0[,)])/.test(t.getAttribute("transform") ?? "") }))
      .filter(({ box }) => !empty(box));
    texts.forEach((one, place) => {
      const { box } = one;
      if (box.left < frame.left - NOISE || box.right > frame.right + NOISE ||
          box.top < frame.top - NOISE || box.bottom > frame.bottom + NOISE) {
        report("text leaves its plot", one.text);
      }
      for (const other of texts.slice(place + 1)) {
        if (!one.turned && !other.turned && overlap(box, other.box)) {
          report("labels overlap", `${one.text} | ${other.text}`);
        }
      }
    });
    const marks = [...plot.querySelectorAll(".scatterlayer .point")].map((m) => m.getBoundingClientRect());
    for (const one of texts.filter(({ note }) => note)) {
      if (marks.some((mark) => overlap(mark, one.box))) report("label lies over a mark", one.text);
    }
    const tools = [...plot.querySelectorAll(".modebar-group")].map((t) => t.getBoundingClientRect());
    for (const one of texts) {
      if (tools.some((tool) => !empty(tool) && overlap(tool, one.box))) {
        report("toolbar covers a label", one.text);
      }
    }
    // A longer time is a longer bar, also where the bar is cut.
    const bars = [...plot.querySelectorAll(".barlayer .point path")].map((b) => b.getBoundingClientRect());
    const timed = texts.flatMap(({ text, box }) => {
      const value = /^(?:\/\/ )?([\d.]+)\s*ms/.exec(text);
      const bar = bars.find((b) => down(b, box) > NOISE);
      return value && bar ? [{ text, value: +value[1], width: bar.width }] : [];
    });
    for (const one of timed) {
      for (const other of timed) {
        if (one.value > 1.2 * other.value && one.width < 1.05 * other.width) {
          report("longer time, no longer bar", `${one.text} | ${other.text}`);
        }
      }
    }
  }

  // Figures that say nothing.
  for (const [figure] of document.body.innerText.matchAll(/(?<![\d.])0\.0+\s(?:MB|ms)/g)) {
    report("figure says nothing", figure);
  }

  // What a person must see is above the fold; the whole is not endless.
  const top = main.getBoundingClientRect().top;
  for (const element of main.querySelectorAll("h1, [data-testid=stAlertContentError]")) {
    if (shown(element) && element.getBoundingClientRect().bottom - top > fold) {
      report("below the fold", element.textContent);
    }
  }
  if (content > height) report("page is too high", `${document.title.split(":")[0]}`);
  return flaws;
}
