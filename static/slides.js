// Slides: what they show comes as JSON, and all of its words as text, never as HTML.

const FAR = 50; // Pixels of a swipe.
const decks = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  const deck = decks.get(parentElement) ?? new Deck(parentElement);
  decks.set(parentElement, deck);
  deck.leave = () => setTriggerValue("left", true);
  deck.take(data);
}

function element(kind, classes = "", ...content) {
  const fresh = document.createElement(kind);
  fresh.className = classes;
  fresh.append(...content.filter((part) => part !== null && part !== ""));
  return fresh;
}

function drawn(kind, attributes, text = "") {
  const fresh = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) fresh.setAttribute(name, value);
  fresh.textContent = text;
  return fresh;
}

function image(address, alt = "") {
  const fresh = element("img");
  fresh.alt = alt;
  if (address) fresh.src = served(address);
  return fresh;
}

// Beside Streamlit's own script, so that it holds behind a proxy with a path of its own.
function served(path) {
  const own = document.querySelector('script[type="module"][src]');
  return path.startsWith("/") && own ? new URL(`../..${path}`, own.src).href : path;
}

function named({ name, marker }) {
  return element("span", "name", image(marker), element("span", "", name));
}

function photo(address, caption, stamp = "") {
  const box = element("div", address ? "photo" : "photo missing", image(address, caption));
  if (stamp) box.append(element("p", "stamp", stamp));
  return box;
}

function bars(classes, side) {
  const rows = classes.map((pair) => {
    const track = element("div", "track", element("i"));
    track.firstChild.style.width = `${pair[1 + side] * 100}%`;
    return element("div", "",
      element("p", "", element("span", "", pair[0]), element("span", "", pair[3 + side])), track);
  });
  return element("div", "classes", ...rows);
}

class Deck {
  constructor(root) {
    this.find = (selector) => root.querySelector(selector);
    this.kind = null;
    this.data = { slides: [] };
    this.section = this.find(".deck");
    this.upright = matchMedia("(max-aspect-ratio: 1/1)");
    const again = () => this.section.isConnected && this.kind && this.draw();
    window.addEventListener("resize", again);
    this.find(".leave").addEventListener("click", () => this.leave());
    const press = (event) => {
      if (this.section.isConnected) this.press(event);
      else window.removeEventListener("keydown", press);
    };
    window.addEventListener("keydown", press);
    this.section.addEventListener("touchstart", (event) => {
      this.touched = event.touches.length === 1 ? event.touches[0] : null;
    }, { passive: true });
    this.section.addEventListener("touchend", (event) => this.swipe(event.changedTouches[0]));
    this.section.focus({ preventScroll: true });
  }

  take(data) {
    const before = JSON.stringify(this.data.slides[this.index()]);
    this.data = data;
    this.section.setAttribute("aria-label", data.words.label);
    this.find(".leave").setAttribute("aria-label", data.words.leave);
    this.find(".leave").title = data.words.leave;
    this.find(".keys").textContent = data.words.keys;
    this.kind = data.slides[this.index()].kind;
    // A slide that joins does not begin the one on show again.
    if (JSON.stringify(data.slides[this.index()]) === before) this.mark();
    else this.show();
  }

  index() {
    return Math.max(0, this.data.slides.findIndex(({ kind }) => kind === this.kind));
  }

  press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.data.slides.length - 1;
    // Space presses a dot that the keyboard is on.
    const onButton = event.key === " " && event.composedPath()[0].closest?.("button, a");
    const to = {
      ArrowLeft: this.index() - 1, PageUp: this.index() - 1, Home: 0, End: last,
      ArrowRight: this.index() + 1, PageDown: this.index() + 1, " ": this.index() + 1,
    }[event.key];
    if (event.key === "Escape") this.leave();
    else if (event.key.toLowerCase() === "f") this.fill();
    else if (to === undefined || onButton) return;
    else this.turnTo(to);
    event.preventDefault();
    event.stopPropagation();
  }

  fill() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.section.requestFullscreen?.().catch(() => {});
  }

  swipe(end) {
    if (!this.touched) return;
    const across = end.clientX - this.touched.clientX;
    const down = end.clientY - this.touched.clientY;
    this.touched = null;
    if (Math.abs(across) < FAR || Math.abs(across) < 1.5 * Math.abs(down)) return;
    this.turnTo(this.index() + (across < 0 ? 1 : -1));
  }

  turnTo(index) {
    const slide = this.data.slides[index];
    if (!slide || slide.kind === this.kind) return;
    this.kind = slide.kind;
    this.section.scrollTop = 0;
    this.show();
  }

  show() {
    const slide = this.data.slides[this.index()];
    const box = this.find(".slide");
    this.find(".kicker").textContent = slide.name;
    box.className = `slide ${slide.kind}`;
    this.draw = () => {};
    box.replaceChildren(...this[slide.kind](slide));
    this.draw(); // A drawing takes the size of its box.
    void box.offsetWidth; // So that it enters again.
    box.classList.add("enter");
    this.mark();
  }

  mark() {
    const { slides } = this.data;
    const dots = this.find(".dots");
    while (dots.children.length > slides.length) dots.lastChild.remove();
    slides.forEach(({ name }, at) => {
      const dot = dots.children[at] ?? dots.appendChild(element("button"));
      dot.type = "button";
      dot.title = name;
      dot.setAttribute("aria-label", `${at + 1}: ${name}`);
      dot.onclick = () => this.turnTo(at);
      if (at === this.index()) dot.setAttribute("aria-current", "true");
      else dot.removeAttribute("aria-current");
    });
    this.find(".position").textContent = `${this.index() + 1}/${slides.length}`;
  }

  // One function a kind of slide.

  claim({ model, side, headline, chip, tiles, proof, note }) {
    const top = element("div", "top", element("span", "", model), side ? named(side) : null,
      chip ? element("span", `chip ${chip.state}`, chip.words) : null);
    const cards = tiles.map(({ title, figure, detail }) =>
      element("div", "tile", element("span", "", title), element("b", "", figure),
        element("span", "", detail)));
    return [top, element("h1", "", headline), element("div", "tiles", ...cards),
      element("p", "", proof), element("p", "quiet", note)];
  }

  stage({ headline, photo: address, caption, sides, left, right, classes }) {
    const column = (side, answer, at) => {
      const flipped = at === 1 && answer[0] !== left[0] ? "answer flipped" : "answer";
      const box = element("div", "side", named(side), element("p", "quiet", side.costs.join(" · ")),
        element("p", flipped, answer[0]), element("p", "share", answer[1]), bars(classes, at));
      box.style.setProperty("--hue", side.hue);
      return box;
    };
    this.find(".slide").classList.add("captioned");
    return [element("h1", "", headline),
      element("div", "sides", column(sides[0], left, 0), photo(address, caption),
        column(sides[1], right, 1)),
      element("p", "quiet", caption)];
  }

  trade_off(slide) {
    this.find(".slide").classList.add("captioned");
    const box = element("div", "drawing");
    this.draw = () => this.drawTradeOff(box, slide);
    return [element("h1", "", slide.headline), box,
      element("p", "", element("b", "", slide.advice), " ", slide.reason)];
  }

  flip({ headline, photo: address, caption, stamp, why, line, sides, classes }) {
    const words = element("div", "text", element("p", "", why));
    const box = element("div", "drawing");
    if (line) this.draw = () => this.drawLoss(box, line, sides[1].hue);
    else {
      box.style.setProperty("--hue", sides[1].hue);
      box.append(bars(classes, 1));
    }
    words.append(box, element("p", "quiet", line ? line.sentence : caption));
    return [element("h1", "", headline),
      element("div", "reasons", photo(address, caption, stamp), words)];
  }

  won_back({ headline, measure, bars: sides, sentence, photos }) {
    const rows = sides.map(({ name, hue, share, text, same }) => {
      const track = element("div", "track", element("i"), element("b", "", text));
      const row = element("div", "bar", element("span", "name", name), track,
        element("span", "quiet", same));
      row.style.setProperty("--hue", hue);
      row.style.setProperty("--share", share);
      return row;
    });
    const thumbs = photos.map(({ address, label }) =>
      element("figure", "", image(address, label), element("figcaption", "", label)));
    return [element("h1", "", headline),
      element("div", "gains",
        element("div", "bars", element("p", "quiet", measure), ...rows),
        element("p", "", sentence), element("div", "thumbs", ...thumbs))];
  }

  kit({ headline, commands, output, passed, note }) {
    const lines = output.split("\n");
    const verdict = lines.pop();
    const screen = element("pre");
    for (const command of commands) screen.append(element("span", "typed", `$ ${command}`), "\n");
    screen.append(lines.map((line) => `${line}\n`).join(""),
      element("span", passed ? "verdict" : "verdict failed", verdict));
    const lights = element("div", "lights", element("i"), element("i"), element("i"));
    this.find(".slide").classList.add("captioned");
    return [element("h1", "", headline), element("div", "terminal", lights, screen),
      element("p", "quiet", note)];
  }

  report({ headline, why, code, address, path, file, size }) {
    const words = element("div", "", element("p", "", why), element("p", "quiet", size));
    if (code) {
      words.append(element("p", "address", address));
      return [element("h1", "", headline), element("div", "ending", codeImage(code), words)];
    }
    const link = element("a", "take", this.data.words.download);
    link.href = served(path);
    link.download = file;
    words.append(link);
    return [element("h1", "", headline), element("div", "ending alone", words)];
  }

  // Drawings: shares of two axes become pixels of a view that fits the stage, or a phone.

  canvas(box) {
    const size = parseFloat(getComputedStyle(box).fontSize);
    const font = this.upright.matches ? 14 : 0.72 * size;
    const [width, height] = [box.clientWidth, box.clientHeight];
    const edge = { left: 4.6 * font, right: font, top: 1.5 * font, bottom: 3.2 * font };
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "font-size": font });
    box.replaceChildren(svg);
    const x = (share) => edge.left + share * (width - edge.left - edge.right);
    const y = (share) => height - edge.bottom - share * (height - edge.top - edge.bottom);
    return { svg, x, y, font, width, height };
  }

  addAxes({ svg, x, y, font, width, height }, { x_title, y_title, x_ticks = [], y_ticks }) {
    const axes = drawn("g", { class: "axis" });
    for (const { text, y: at } of y_ticks) {
      axes.append(drawn("line", { x1: x(0), x2: x(1), y1: y(at), y2: y(at) }),
        drawn("text", { x: x(0) - font * 0.4, y: y(at) + font * 0.35, "text-anchor": "end" }, text));
    }
    for (const { text, x: at } of x_ticks) {
      axes.append(drawn("line", { x1: x(at), x2: x(at), y1: y(0), y2: y(1) }),
        drawn("text", { x: x(at), y: y(0) + font * 1.3, "text-anchor": "middle" }, text));
    }
    const middle = y(0.5);
    svg.append(axes,
      drawn("text", { class: "title", x: width - font, y: height - font * 0.3, "text-anchor": "end" },
        x_title),
      drawn("text", {
        class: "title", "text-anchor": "middle", x: font * 0.8, y: middle,
        transform: `rotate(-90 ${font * 0.8} ${middle})`,
      }, y_title));
  }

  drawTradeOff(box, slide) {
    const view = this.canvas(box);
    const { svg, x, y, font } = view;
    this.addAxes(view, slide);
    const order = Object.fromEntries(slide.points.map((point) => [point.variant, point.order]));
    const first = slide.points[0];
    const taken = slide.points.find(({ variant }) => variant === slide.taken);
    if (taken && taken !== first) {
      const way = drawn("path", {
        class: "way", pathLength: 1,
        d: `M${x(first.x)} ${y(first.y)}L${x(taken.x)} ${y(taken.y)}`,
      });
      way.style.setProperty("--order", taken.order);
      svg.append(way);
    }
    for (const point of slide.points) {
      const side = point.size * font / 16;
      const mark = drawn("image", {
        class: point.pale ? "point pale" : "point", href: slide.looks[point.variant].marker,
        x: x(point.x) - side / 2, y: y(point.y) - side / 2, width: side, height: side,
      });
      mark.style.setProperty("--order", point.order);
      svg.append(mark);
      if (point === taken) {
        const ring = drawn("circle", {
          class: "ring", cx: x(point.x), cy: y(point.y), r: side * 0.85,
          stroke: slide.looks[point.variant].hue,
        });
        ring.style.setProperty("--order", point.order);
        svg.append(ring);
      }
    }
    const above = [];
    for (const { text, x: across, y: up } of [...slide.labels].sort((a, b) => b.y - a.y)) {
      const right = across > 0.6;
      let at = y(up) + font * 0.35;
      // Names of marks that lie close stand below each other.
      for (const before of above) {
        if (Math.abs(before.across - across) < 0.25) at = Math.max(at, before.at + 1.25 * font);
      }
      above.push({ across, at });
      const label = drawn("text", {
        class: "label", x: x(across) + (right ? -2.2 : 2.2) * font, y: at,
        "text-anchor": right ? "end" : "start",
      }, text);
      if (text.split(", ").includes(slide.taken)) label.setAttribute("font-weight", 700);
      label.style.setProperty("--order", Math.max(...text.split(", ").map((name) => order[name])));
      svg.append(label);
    }
    svg.setAttribute("aria-label", slide.headline);
  }

  drawLoss(box, line, hue) {
    const view = this.canvas(box);
    const { svg, x, y, font } = view;
    svg.style.setProperty("--hue", hue);
    this.addAxes(view, line);
    if (line.culprit.text) {
      const at = x(line.culprit.x);
      const right = line.culprit.x > 0.5;
      svg.append(drawn("line", { class: "culprit", x1: at, x2: at, y1: y(0), y2: y(1) }),
        drawn("text", {
          x: at + (right ? -0.4 : 0.4) * font, y: y(1) + font * 0.1,
          "text-anchor": right ? "end" : "start", "font-weight": 650,
        }, line.culprit.text));
    }
    for (const [across, up] of line.alone) {
      svg.append(drawn("circle", { class: "alone", cx: x(across), cy: y(up), r: font * 0.25 }));
    }
    const points = line.cumulative.map(([across, up]) => `${x(across)},${y(up)}`).join(" ");
    svg.append(drawn("polyline", { class: "network", points }));
    const { alone, cumulative } = this.data.words;
    const legend = drawn("text", {
      class: "title", x: x(1) - font * 0.3, y: y(0) - font * 0.6, "text-anchor": "end",
    }, `○ ${alone} · — ${cumulative}`);
    svg.append(legend);
    svg.setAttribute("aria-label", line.sentence);
  }
}

function codeImage(code) {
  const fresh = image(code, "QR code");
  fresh.className = "code";
  return fresh;
}
