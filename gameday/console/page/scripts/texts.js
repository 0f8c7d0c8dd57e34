// Every sentence of the page, by id, from one file of the language.

let texts = {};

export async function loadTexts() {
  const languages = await (await fetch("/static/locale/languages.json")).json();
  const wanted = (navigator.languages || ["en"]).map((each) => each.toLowerCase().split("-")[0]);
  const chosen = wanted.find((each) => languages.includes(each)) || "en";
  const english = await (await fetch("/static/locale/en.json")).json();
  const own = chosen === "en" ? {} : await (await fetch(`/static/locale/${chosen}.json`)).json();
  texts = { ...english, ...own };
  document.documentElement.lang = chosen;
  for (const each of document.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
}

export function t(id, values = {}) {
  const text = texts[id];
  if (text === undefined) return id;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name] ?? "") : whole));
}

export const has = (id) => id in texts;
