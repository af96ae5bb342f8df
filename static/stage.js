// The stage: what it shows comes as JSON, and all of its words as text, never as HTML.

const STEP = 0.02;
const stages = new WeakMap();
let landed = null; // The photo of the person that was brought into view last.

export default function ({ parentElement, data, setStateValue, setTriggerValue }) {
  const stage = stages.get(parentElement) ?? new Stage(parentElement);
  stages.set(parentElement, stage);
  stage.ask = (id) => setStateValue("wanted", id);
  stage.give = (photos) => setTriggerValue("dropped", photos);
  stage.take(data);
}

function element(kind, text = "", classes = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = classes;
  return made;
}

function picture(address, side) {
  const made = document.createElement("img");
  made.alt = "";
  if (side) made.width = made.height = side;
  if (address) made.src = address;
  return made;
}

// Beside Streamlit's own script, so that it holds behind a proxy with a path of its own.
function served(path) {
  const own = document.querySelector('script[type="module"][src]');
  return path && own ? new URL(`../..${path}`, own.src).href : path;
}

class Stage {
  constructor(root) {
    this.find = (selector) => root.querySelector(selector);
    this.large = new Map();
    this.share = 0.5;
    this.index = 0;
    this.section = this.find(".stage");
    this.view = this.find(".view");
    this.handle = this.find(".handle");
    this.view.addEventListener("pointerdown", (event) => this.grab(event));
    this.view.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.view.addEventListener(end, () => this.release());
    }
    this.handle.addEventListener("keydown", (event) => this.nudge(event));
    this.section.addEventListener("keydown", (event) => this.turn(event));
    this.find(".previous").addEventListener("click", () => this.step(-1));
    this.find(".next").addEventListener("click", () => this.step(1));
    this.find(".go").addEventListener("click", () => this.start());
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.still.addEventListener("change", () => this.section.isConnected && this.prepareRace());
    this.find(".shown").addEventListener("load", (event) => this.blur(event.target));
    this.listenForPhotos();
  }

  take(data) {
    const news = data.token !== this.data?.token;
    const before = this.data?.items[this.index]?.id;
    this.data = data;
    for (const item of data.items) if (item.large) this.large.set(item.id, served(item.large));
    const again = data.items.findIndex((item) => item.id === before);
    this.index = news || again < 0 ? 0 : again;
    this.section.setAttribute("aria-label", data.label);
    this.handle.setAttribute("aria-label", data.handle);
    for (const word of ["previous", "next", "photo"]) {
      this.find(`.${word}`).textContent = data.words[word];
    }
    this.find(".drop").textContent = data.words.drop;
    this.find(".headline").textContent = data.headline;
    for (const side of ["left", "right"]) this.name(side, data[side]);
    this.fillStrip();
    if (news) this.prepareRace();
    this.show();
    this.place(this.share);
    if (data.landed && data.landed !== landed) this.view.scrollIntoView({ block: "nearest" });
    landed = data.landed || landed;
  }

  name(side, { name, marker, hue, costs }) {
    const layer = this.find(`.${side}`);
    layer.style.setProperty("--hue", hue || "transparent");
    const title = element("b");
    title.append(picture(marker, 14), element("span", name));
    const lines = [title, ...costs.map((cost) => element("span", cost))];
    layer.querySelector(".chip").replaceChildren(...(name ? lines : []));
  }

  // One picture.

  show() {
    const item = this.data.items[this.index];
    const large = this.large.get(item.id);
    if (!large) this.askSoon(item.id);
    const address = large ?? served(item.small);
    const image = this.find(".shown");
    if (address && image.src !== address) image.src = address;
    image.classList.toggle("missing", !address);
    image.alt = item.caption;
    this.find(".caption").textContent = item.caption;
    for (const side of ["left", "right"]) {
      const [label, share] = item[side];
      const box = this.find(`.${side} .answer`);
      box.replaceChildren(...(label ? [element("b", label), element("span", share)] : []));
    }
    if (this.shownId !== item.id) this.stamp(item.stamp);
    this.shownId = item.id;
    this.fillBars(item.classes);
    this.find("p.unseen").textContent = item.spoken;
    this.mark();
  }

  // A few pixels, drawn large: a filter that blurs would be computed with every frame of a drag.
  blur(image) {
    const { width, height } = this.find(".backdrop");
    this.find(".backdrop").getContext("2d").drawImage(image, 0, 0, width, height);
  }

  stamp(text) {
    const old = this.find(".stamp");
    const fresh = element("p", text, "stamp"); // A new element, so that the stamp falls again.
    fresh.setAttribute("aria-hidden", "true");
    old.replaceWith(fresh);
  }

  fillBars(classes) {
    // As high before the answers have come as afterwards.
    this.view.style.setProperty("--rows", classes.length || this.data.rows);
    for (const [side, value, text] of [["left", 1, 3], ["right", 2, 4]]) {
      const bars = this.find(`.${side} .bars`);
      while (bars.children.length > classes.length) bars.lastChild.remove();
      classes.forEach((pair, row) => {
        if (!bars.children[row]) bars.append(this.pair());
        const [first, , , , last] = bars.children[row].children;
        first.textContent = last.textContent = pair[text];
        for (const bar of bars.children[row].querySelectorAll("i")) {
          bar.style.transform = `scaleX(${pair[value]})`;
        }
      });
    }
    const names = classes.map(([name]) => {
      const row = element("p");
      row.append(element("span", name));
      return row;
    });
    this.find(".names").replaceChildren(...names);
    const { left, right } = this.data;
    const spoken = ([name, , , first, second]) =>
      element("li", `${name}: ${left.name} ${first}, ${right.name} ${second}`);
    this.find(".classes").replaceChildren(...classes.map(spoken));
  }

  pair() {
    const row = element("div", "", "pair");
    const track = () => {
      const made = element("div", "", "track");
      made.append(element("i"));
      return made;
    };
    row.append(element("span"), track(), element("span", "", "gap"), track(), element("span"));
    return row;
  }

  askSoon(id) {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => {
      if (this.data.items[this.index].id === id && !this.large.has(id)) this.ask(id);
    }, 250);
  }

  // The handle.

  grab(event) {
    if (event.button !== 0) return;
    this.held = event.pointerId;
    this.view.setPointerCapture(event.pointerId);
    this.view.classList.add("dragging");
    this.box = this.view.getBoundingClientRect();
    this.handle.focus({ preventScroll: true });
    event.preventDefault();
    this.drag(event);
  }

  drag(event) {
    if (this.held !== event.pointerId) return;
    this.place((event.clientX - this.box.left) / this.box.width);
  }

  release() {
    this.held = null;
    this.view.classList.remove("dragging");
  }

  nudge(event) {
    const far = event.shiftKey ? 5 : 1;
    const to = {
      ArrowLeft: this.share - far * STEP, ArrowDown: this.share - far * STEP,
      ArrowRight: this.share + far * STEP, ArrowUp: this.share + far * STEP,
      PageDown: this.share - 0.1, PageUp: this.share + 0.1, Home: 0, End: 1,
    }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.place(to);
  }

  place(share) {
    this.share = Math.min(1, Math.max(0, share));
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.view.style.setProperty("--x", `${(this.share * 100).toFixed(2)}%`);
      const left = Math.round(this.share * 100);
      const values = { left, right: 100 - left };
      this.handle.setAttribute("aria-valuenow", left);
      this.handle.setAttribute(
        "aria-valuetext", this.data.values.replace(/\{(left|right)\}/g, (_, side) => values[side]));
    });
  }

  // The film strip.

  fillStrip() {
    const listed = this.data.headline ? this.data.items : []; // One that waits for its answers is none.
    const cells = listed.map((item, index) => {
      const cell = element("div");
      const button = element("button", "", item.changed ? "changed" : "");
      button.type = "button";
      button.append(
        picture(served(item.small)), element("span", item.change || this.data.words.same));
      button.setAttribute("aria-label", `${item.caption}: ${item.change || this.data.words.same}`);
      button.addEventListener("click", () => this.turnTo(index));
      cell.setAttribute("role", "listitem");
      cell.append(button);
      return cell;
    });
    const focused = this.find(".strip button:focus") !== null;
    this.find(".strip").replaceChildren(...cells);
    if (focused) cells[this.index].firstChild.focus({ preventScroll: true });
  }

  mark() {
    const buttons = [...this.find(".strip").querySelectorAll("button")];
    buttons.forEach((button, index) => {
      if (index === this.index) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    const { items } = this.data;
    for (const word of ["previous", "next"]) this.find(`.${word}`).disabled = items.length < 2;
    this.find(".position").textContent = `${this.index + 1} / ${items.length}`;
    const strip = this.find(".strip");
    if (!buttons.length) return;
    const cell = buttons[this.index].parentElement;
    strip.scrollLeft = cell.offsetLeft - strip.offsetLeft - (strip.clientWidth - cell.clientWidth) / 2;
  }

  turn(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(step);
  }

  step(by) {
    const { items } = this.data;
    let index = this.index;
    // On to the next changed answer; where there is none, to the next picture.
    const changing = items.some((item, at) => item.changed && at !== this.index);
    do index = (index + by + items.length) % items.length;
    while (changing && !items[index].changed);
    this.turnTo(index);
  }

  turnTo(index) {
    this.index = index;
    this.show();
  }

  // The race.

  prepareRace() {
    cancelAnimationFrame(this.running);
    const { race, words } = this.data;
    this.find(".speeds").textContent = race.headline;
    this.find(".go").textContent = words.race;
    this.find(".go").hidden = !race.lanes.length || this.still.matches;
    this.find(".lanes").replaceChildren();
    this.find(".result").textContent = race.lanes.length && this.still.matches ? race.result : "";
  }

  start() {
    const { race, words } = this.data;
    cancelAnimationFrame(this.running);
    this.find(".result").textContent = "";
    const pictures = race.pictures.map(served);
    const lanes = race.lanes.map(({ name, marker, hue, ms }) => {
      const row = element("div", "", "lane");
      const title = element("b");
      title.append(picture(marker, 14), element("span", name));
      const track = element("div", "", "track");
      const bar = element("i");
      track.append(bar);
      const photo = picture(pictures[0]);
      const count = element("span");
      row.style.setProperty("--hue", hue);
      row.append(photo, title, track, count);
      return { row, photo, bar, count, ms };
    });
    this.find(".lanes").replaceChildren(...lanes.map(({ row }) => row));
    const began = performance.now();
    const draw = (now) => {
      let under_way = false;
      for (const lane of lanes) {
        const passed = Math.max(0, now - began);
        const done = Math.min(race.calls, Math.floor(passed / lane.ms));
        const seconds = (Math.min(passed, race.calls * lane.ms) / 1000).toFixed(1);
        lane.bar.style.transform = `scaleX(${done / race.calls})`;
        lane.count.textContent = `${done} · ${seconds} s`;
        const address = pictures[Math.min(done, race.calls - 1) % pictures.length];
        if (lane.photo.src !== address) lane.photo.src = address;
        under_way ||= done < race.calls;
      }
      if (under_way && this.section.isConnected) this.running = requestAnimationFrame(draw);
      else {
        this.find(".result").textContent = race.result;
        this.find(".go").textContent = words.again;
      }
    };
    this.running = requestAnimationFrame(draw);
  }

  // Photos of the person.

  listenForPhotos() {
    const input = this.find(".file");
    this.find(".photo").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.send([...input.files]);
      input.value = "";
    });
    this.section.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      this.section.classList.add("awaiting");
    });
    this.section.addEventListener("dragleave", (event) => {
      if (!this.section.contains(event.relatedTarget)) this.section.classList.remove("awaiting");
    });
    this.section.addEventListener("drop", (event) => {
      event.preventDefault();
      this.section.classList.remove("awaiting");
      this.send([...event.dataTransfer.files]);
    });
  }

  async send(files) {
    const { words, most } = this.data;
    const photos = files.filter((file) => file.type.startsWith("image/"));
    const size = photos.reduce((sum, file) => sum + file.size, 0);
    const wrong = !photos.length ? words.no_picture : size > most ? words.too_large : "";
    this.find(".refusal").textContent = files.length ? wrong : "";
    if (!photos.length || wrong) return;
    this.give(await Promise.all(photos.map((file) => new Promise((done, failed) => {
      const reader = new FileReader();
      reader.onerror = failed;
      reader.onload = () => done({ name: file.name, content: reader.result.split(",")[1] });
      reader.readAsDataURL(file);
    }))));
  }
}
