// Histories, and the lists that follow them.
import { $, act, make, paused, read, started } from "/common.js";

let history = [];
let asked = 0;
let about;

function button(item, label, work) {
  const node = make("button", { type: "button", className: "item" }, make("span", {}, item.title));
  const more = item.genres.join(", ");
  if (more) node.append(make("small", {}, more));
  node.setAttribute("aria-label", label);
  node.addEventListener("click", work);
  return node;
}

async function change(items) {
  history = items.slice(-about.longest_history);
  $("history").replaceChildren(...history.map((item, place) => {
    const remove = make("button", { type: "button", className: "remove" }, "×");
    remove.setAttribute("aria-label", `Remove ${item.title}`);
    remove.addEventListener("click", () => act(async () => {
      await change(history.filter((_, at) => at !== place));
      ($("history").querySelectorAll("button")[Math.max(0, place - 1)] || $("words")).focus();
    }));
    return make("li", {}, make("span", {}, item.title), remove);
  }));
  $("history").scrollTop = $("history").scrollHeight; // the newest counts most
  $("history-note").textContent = history.length ? "" : "Empty: the lists are what anybody would be shown.";
  await answer();
}

async function answer() {
  const mine = ++asked;
  const k = Math.min(about.longest_list, Math.max(1, Math.round(Number($("length").value)) || 10));
  $("lists-note").textContent = "asking …";
  let found;
  try {
    found = await read("/api/lists", { history: history.map((item) => item.item), k });
  } finally {
    if (mine === asked) $("lists-note").textContent = "";
  }
  if (mine !== asked) return; // a later history has been asked about
  $("columns").replaceChildren(...found.lists.map(column));
}

function column(list) {
  const head = make("h3", {}, list.name);
  const said = list.error
    ? make("p", { className: "failed" }, list.error)
    : make("p", { className: "note" }, list.shared === null
      ? "the others are compared with it"
      : `${list.shared} of ${list.items.length} are in the first list`);
  const items = list.items.map((item) => {
    const mark = item.shared ? "✓ " : "";
    const row = make("li", { className: item.shared ? "shared" : "" },
      button(item, `${mark ? "In both: " : ""}add ${item.title}`, () => act(() => change([...history, item]))));
    if (mark) row.firstChild.prepend(make("span", { className: "shared-mark" }, mark));
    return row;
  });
  return make("section", { className: "column" }, head, said, make("ol", {}, ...items));
}

async function search() {
  const words = $("words").value;
  const found = await read(`/api/items?words=${encodeURIComponent(words)}`);
  if (words !== $("words").value) return;
  $("found-note").textContent = found.message;
  $("found").replaceChildren(...found.items.map((item) =>
    make("li", {}, button(item, `Add ${item.title}`, () => act(() => change([...history, item]))))));
}

async function take(kind) {
  await change((await read(`/api/history?kind=${kind}`)).items);
}

async function open() {
  about = (await started).lists;
  if (!about) return;
  $("length").max = about.longest_list;
  $("words").addEventListener("input", paused(search));
  $("words").addEventListener("keydown", (event) => {
    if (event.key === "Enter") $("found").querySelector("button")?.click();
  });
  $("length").addEventListener("input", paused(answer));
  $("person").addEventListener("click", () => act(() => take("person")));
  $("random").addEventListener("click", () => act(() => take("random")));
  $("clear").addEventListener("click", () => act(() => change([])));
  await Promise.all([search(), take("person")]);
}

act(open);
