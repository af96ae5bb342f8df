// The network as blocks: words come as text, never as HTML.

const maps = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  const map = maps.get(parentElement) ?? new LayerMap(parentElement);
  maps.set(parentElement, map);
  map.choose = (id) => setStateValue("chosen", id);
  map.take(data);
}

function element(kind, text = "", classes = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = classes;
  return made;
}

class LayerMap {
  constructor(root) {
    this.find = (selector) => root.querySelector(selector);
    this.strip = this.find(".strip");
    this.strip.addEventListener("keydown", (event) => this.move(event));
  }

  take(data) {
    const focused = this.tiles?.findIndex((tile) => tile.matches(":focus")) ?? -1;
    this.data = data;
    this.find(".start").textContent = data.ends[0];
    this.find(".finish").textContent = data.ends[1];
    this.strip.setAttribute("aria-label", data.label);
    this.tiles = data.blocks.map((block) => this.tile(block));
    this.fill();
    const chosen = data.blocks.findIndex((block) => block.id === data.chosen);
    this.enter(focused >= 0 && focused < this.tiles.length ? focused : Math.max(chosen, 0));
    if (focused >= 0) this.tiles[this.at].focus({ preventScroll: true });
    this.describe(Math.max(chosen, 0));
    this.find(".legend").replaceChildren(...data.legend.map(([letter, words]) => {
      const line = element("li");
      line.append(element("b", letter), element("span", ` ${words}`));
      return line;
    }));
  }

  fill() {
    const groups = [];
    this.data.blocks.forEach((block, index) => {
      if (!groups.length || groups.at(-1).name !== block.group) {
        groups.push({ name: block.group, tiles: [] });
      }
      groups.at(-1).tiles.push(this.tiles[index]);
    });
    this.strip.replaceChildren(...groups.map(({ name, tiles }) => {
      const group = element("div", "", "group");
      const row = element("div", "", "tiles");
      row.append(...tiles);
      const label = element("span", name);
      label.setAttribute("aria-hidden", "true");
      group.append(row, label);
      return group;
    }));
  }

  tile(block) {
    const made = element("button", "", "tile");
    made.type = "button";
    made.style.setProperty("--level", block.level);
    made.append(element("i"), ...(block.mark ? [element("b", block.mark)] : []));
    made.setAttribute("aria-label", block.spoken);
    made.setAttribute("aria-pressed", String(block.id === this.data.chosen));
    const index = this.data.blocks.indexOf(block);
    made.addEventListener("click", () => this.open(index));
    for (const event of ["focus", "pointerenter"]) {
      made.addEventListener(event, () => this.describe(index));
    }
    return made;
  }

  describe(index) {
    this.find(".about").textContent = this.data.blocks[index]?.spoken ?? "";
  }

  enter(index) {
    this.at = index;
    this.tiles.forEach((tile, at) => { tile.tabIndex = at === index ? 0 : -1; });
  }

  open(index) {
    this.enter(index);
    this.tiles.forEach((tile, at) => tile.setAttribute("aria-pressed", String(at === index)));
    this.choose(this.data.blocks[index].id);
  }

  move(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.tiles.length - 1;
    const to = {
      ArrowLeft: this.at - 1, ArrowRight: this.at + 1, ArrowUp: this.row(-1), ArrowDown: this.row(1),
      Home: 0, End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.enter(Math.min(last, Math.max(0, to)));
    this.tiles[this.at].focus();
  }

  // The nearest block of the line above or below.
  row(by) {
    const { left, top } = this.tiles[this.at].getBoundingClientRect();
    let best = this.at;
    let least = Infinity;
    this.tiles.forEach((tile, index) => {
      const box = tile.getBoundingClientRect();
      if ((box.top - top) * by < 10) return;
      const distance = Math.abs(box.top - top) * 100 + Math.abs(box.left - left);
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  }
}
