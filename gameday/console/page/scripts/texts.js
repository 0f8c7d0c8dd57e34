// Every sentence of the page, by id, from one file of the language.

const STORED = "gameday-language";
let texts = {};

// What was chosen here counts, then what was chosen for the server, then what the browser asks
// for; English where there is none of them.
export async function loadTexts() {
  const { known: languages, chosen: asked } = await (await fetch("/static/locale/languages.json")).json();
  const wanted = (navigator.languages || ["en"]).map((each) => each.toLowerCase().split("-")[0]);
  const chosen = [stored(), asked, ...wanted].find((each) => languages.includes(each)) || "en";
  const english = await (await fetch("/static/locale/en.json")).json();
  const own = chosen === "en" ? {} : await (await fetch(`/static/locale/${chosen}.json`)).json();
  texts = { ...english, ...own };
  document.documentElement.lang = chosen;
  for (const each of document.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
  offer(languages, chosen);
}

// A button with the name of the language that is shown; a click shows the page in the next one.
function offer(languages, chosen) {
  const button = document.querySelector("#language");
  button.hidden = languages.length < 2;
  document.querySelector("#language-name").textContent = t("language.name");
  button.onclick = () => {
    const next = languages[(languages.indexOf(chosen) + 1) % languages.length];
    try { localStorage.setItem(STORED, next); } catch { return; /* no storage: the browser's */ }
    location.reload();
  };
}

function stored() {
  try { return localStorage.getItem(STORED); } catch { return null; }
}

export function t(id, values = {}) {
  const text = texts[id];
  if (text === undefined) return id;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name] ?? "") : whole));
}

export const has = (id) => id in texts;
export const language = () => document.documentElement.lang;
