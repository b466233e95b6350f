// What both views share: calls, elements, and which view is shown.

export const $ = (id) => document.getElementById(id);

// An element with properties and children; texts stay texts.
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export function trouble(message) {
  $("trouble").textContent = message || "";
  $("trouble").hidden = !message;
}

// A response, or an Error that says why not.
export async function ask(path, body, signal) {
  const wanted = { signal };
  if (body !== undefined) {
    wanted.method = "POST";
    wanted.headers = { "Content-Type": "application/json" };
    wanted.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, wanted);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("recsec does not answer any more: was it ended?");
  }
  if (!response.ok) {
    const text = await response.text();
    let detail = text;
    try { detail = JSON.parse(text).detail; } catch { /* plain text */ }
    throw new Error(typeof detail === "string" ? detail : "that does not fit");
  }
  return response;
}

export const read = async (path, body) => (await ask(path, body)).json();

// Run what a button does; what goes wrong is said at the top.
export async function act(work) {
  try {
    trouble("");
    await work();
  } catch (error) {
    if (error.name !== "AbortError") trouble(error.message);
  }
}

// Calls `work` when typing has paused.
export function paused(work, wait = 150) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => act(work), wait);
  };
}

function show(about) {
  const there = ["lists", "photos"].filter((name) => about[name]);
  const wanted = location.hash.slice(1);
  const shown = there.includes(wanted) ? wanted : there[0];
  for (const name of ["lists", "photos"]) $(name).hidden = name !== shown;
  for (const link of $("views").querySelectorAll("a")) {
    const here = link.hash === `#${shown}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("views").hidden = there.length < 2;
  const one = about[shown];
  const size = shown === "lists"
    ? `${one.items.toLocaleString("en")} items, ${one.users.toLocaleString("en")} users`
    : `${one.photos.toLocaleString("en")} photos`;
  $("about").textContent = about.synthetic
    ? `Made-up data, ${size}: this says nothing about real ones`
    : `${one.data}: ${size}`;
}

export const started = (async () => {
  try {
    const about = await read("/api/start");
    show(about);
    addEventListener("hashchange", () => show(about));
    return about;
  } catch (error) {
    trouble(error.message);
    throw error;
  }
})();
