// One attack on one photo, watched.
import { $, act, ask, make, paused, read, started, trouble } from "/common.js";

let about;
let running = null; // an AbortController while an attack runs
let neighbors = [];
let frames = [];

const source = (photo, side) => `/api/photos/${photo.row}.png?side=${side}`;
const named = (photo) => photo.title || String(photo.id);
const number = (value) => value.toLocaleString("en");

// A field to search for a photo and to choose one.
class Picker {
  constructor(place) {
    this.chosen = null;
    this.skip = 0;
    this.image = make("img", { width: 96, height: 96 });
    this.name = make("p", { className: "name" });
    this.words = make("input", { type: "search", placeholder: "Title or category", maxLength: 200, autocomplete: "off" });
    this.words.setAttribute("aria-label", `Search: ${place.querySelector("legend").textContent}`);
    this.note = make("p", { className: "note" });
    this.note.setAttribute("role", "status");
    this.strip = make("div", { className: "thumbs" });
    this.more = make("button", { type: "button" }, "More");
    place.append(make("div", { className: "chosen" }, this.image, make("div", {}, this.name, this.words, this.note)), this.strip, this.more);
    this.words.addEventListener("input", paused(() => this.search(0)));
    this.more.addEventListener("click", () => act(() => this.search(this.skip)));
  }

  async search(skip) {
    const words = this.words.value;
    const found = await read(`/api/photos?skip=${skip}&words=${encodeURIComponent(words)}`);
    if (words !== this.words.value) return;
    this.skip = found.more ? skip + found.photos.length : 0;
    this.more.hidden = !found.more && skip === 0;
    this.more.textContent = found.more ? "More" : "From the start";
    this.note.textContent = found.message;
    this.strip.replaceChildren(...found.photos.map((photo) => {
      const one = make("button", { type: "button", className: "thumb", title: named(photo) },
        make("img", { src: source(photo, 64), alt: "", width: 64, height: 64 }));
      one.setAttribute("aria-label", `${named(photo)}, ${photo.id}`);
      one.dataset.row = photo.row;
      one.addEventListener("click", () => this.choose(photo));
      return one;
    }));
    this.mark();
  }

  choose(photo) {
    this.chosen = photo;
    this.image.src = source(photo, 192);
    this.image.alt = named(photo);
    this.name.replaceChildren(named(photo), make("small", {}, ` ${photo.id}`));
    this.mark();
  }

  mark() {
    for (const one of this.strip.children) {
      one.setAttribute("aria-pressed", String(Number(one.dataset.row) === this.chosen?.row));
    }
  }
}

let photo, target;

// The events of a response, one after the other.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const [name, data] = text.slice(0, end).split("\n");
      yield [name.slice("event: ".length), JSON.parse(data.slice("data: ".length))];
    }
  }
}

function busy(now) {
  $("start").disabled = now;
  $("pair").disabled = now;
  $("cancel").disabled = !now;
  $("stage").setAttribute("aria-busy", String(now));
}

async function attack() {
  const chosen = { photo: photo.chosen, target: target.chosen, encoder: $("encoder").value, attack: $("attack").value, levels: Number($("levels").value) };
  running = new AbortController();
  busy(true);
  frames = [];
  let finished = false;
  try {
    const response = await ask("/api/attack", {
      photo: chosen.photo.row, target: chosen.target.row, levels: chosen.levels,
      encoder: Number(chosen.encoder), attack: chosen.attack,
    }, running.signal);
    for await (const [name, data] of events(response)) {
      if (name === "start") begin(chosen, data);
      else if (name === "frame") add(data);
      else if (name === "problem") throw new Error(data.message);
      else if (name === "done") {
        finished = true;
        end(chosen, data);
      }
    }
    if (!finished) throw new Error("recsec does not answer any more: was it ended?");
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    say(`Cancelled${frames.length ? ` after ${frames.at(-1).step} steps, at rank ${number(frames.at(-1).rank)}` : ""}.`);
  } finally {
    running = null;
    busy(false);
    if (document.activeElement === document.body) $("start").focus();
  }
}

function say(text) { $("rank").textContent = text; }

function begin(chosen, data) {
  neighbors = data.neighbors;
  $("stage").hidden = false;
  $("before").src = source(chosen.photo, 224);
  $("after").src = source(chosen.photo, 224);
  $("wanted").src = source(chosen.target, 224);
  $("difference").removeAttribute("src");
  say("…");
}

function add(frame) {
  frames.push(frame);
  $("step").max = frames.length - 1;
  $("step").value = frames.length - 1;
  draw(frames.length - 1);
}

function draw(at) {
  const frame = frames[at];
  $("after").src = frame.picture;
  $("difference").src = frame.difference;
  $("step-at").textContent = frame.done ? "the file" : String(frame.step);
  if (!frame.done) say(`Rank ${number(frames[0].rank)} → ${number(frame.rank)}`);
  else say(frame.said);
  curve(at);
  near(frame);
}

function end(chosen, data) {
  const reached = data.rank_after === 1 ? ", the first place," : data.rank_after <= 10 ? ", among the first ten," : "";
  const effort = data.backwards ? `${number(data.backwards)} gradients` : `${number(data.queries)} questions`;
  const said = `Rank ${number(data.rank_before)} → ${number(data.rank_after)}${reached} after ${effort}; PSNR ${data.psnr === null ? "∞" : data.psnr.toFixed(1)} dB, SSIM ${data.ssim.toFixed(3)}`;
  add({ done: true, said, step: (frames.at(-1)?.step ?? 0) + 1, rank: data.rank_after, cosine: data.cosine_after, picture: data.picture, difference: data.difference });
  const cells = [named(chosen.photo), named(chosen.target), about.names[chosen.encoder], chosen.attack, chosen.levels, number(data.rank_before), number(data.rank_after)];
  $("runs").hidden = false;
  $("runs").tBodies[0].prepend(make("tr", {}, ...cells.map((text, place) => {
    const cell = make("td", { className: place > 3 ? "num" : "" }, String(text));
    cell.dataset.label = $("runs").tHead.rows[0].cells[place].textContent;
    return cell;
  })));
}

// The list of the target as it is with the photo of a frame in it.
function near(frame) {
  const tiles = neighbors.map((one) => ({ src: source(one, 96), name: named(one), cosine: one.cosine }));
  if (frame.rank <= neighbors.length) {
    tiles.splice(frame.rank - 1, 0, { src: frame.picture, name: "the changed photo", cosine: frame.cosine, own: true });
  }
  $("near").replaceChildren(...tiles.slice(0, neighbors.length).map((tile) =>
    make("li", { className: tile.own ? "own" : "" },
      make("img", { src: tile.src, alt: tile.name, width: 96, height: 96 }),
      make("small", {}, tile.own ? "★ changed" : tile.name, make("br"), tile.cosine.toFixed(3)))));
}

const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// Rank, on a logarithmic axis, against the number of images asked about.
function curve(at) {
  const [left, right, top, bottom] = [52, 590, 12, 128];
  const last = Math.max(1, frames.at(-1).step);
  const worst = Math.max(10, ...frames.map((one) => one.rank));
  const x = (one) => left + (one.step / last) * (right - left);
  const y = (rank) => top + (1 - Math.log(rank) / Math.log(worst)) * (bottom - top);
  const marks = [1, 3, 10, worst].filter((rank, place, all) => rank <= worst && all.indexOf(rank) === place);
  const nodes = marks.flatMap((rank) => [
    shape("line", { x1: left, x2: right, y1: top + bottom - y(rank), y2: top + bottom - y(rank), class: "grid" }),
    shape("text", { x: left - 8, y: top + bottom - y(rank) + 4, "text-anchor": "end" }, number(rank)),
  ]);
  const way = frames.map((one) => `${x(one).toFixed(1)},${(top + bottom - y(one.rank)).toFixed(1)}`).join(" ");
  nodes.push(shape("polyline", { points: way, class: "way" }));
  nodes.push(shape("circle", { cx: x(frames[at]), cy: top + bottom - y(frames[at].rank), r: 5, class: "here" }));
  nodes.push(shape("text", { x: left, y: 146 }, "0"), shape("text", { x: right, y: 146, "text-anchor": "end" }, `${number(last)} images asked about`));
  $("curve").replaceChildren(...nodes);
  $("curve").setAttribute("aria-label", `Rank against images asked about: from ${frames[0].rank} to ${frames.at(-1).rank}`);
}

function budget() {
  const levels = Number($("levels").value);
  $("eps").textContent = `${levels} of 255 levels (eps ${(levels / 255).toFixed(3)})`;
}

async function another() {
  const [first, second] = (await read("/api/pair")).photos;
  photo.choose(first);
  target.choose(second);
}

async function open() {
  about = (await started).photos;
  if (!about) return;
  photo = new Picker($("pick-photo"));
  target = new Picker($("pick-target"));
  $("encoder").append(...about.names.map((name, place) => make("option", { value: place }, name)));
  $("attack").append(...about.attacks.map((one) => make("option", { value: one.name }, one.said)));
  $("levels").max = about.most_levels;
  $("levels").addEventListener("input", budget);
  $("step").addEventListener("input", () => draw(Number($("step").value)));
  $("pair").addEventListener("click", () => act(another));
  $("cancel").addEventListener("click", () => running?.abort());
  $("order").addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) return;
    trouble("");
    act(attack);
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });
  budget();
  await Promise.all([another(), photo.search(0), target.search(0)]);
}

act(open);
