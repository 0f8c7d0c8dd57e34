// Building the page: elements with text in them, never HTML.

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "disabled" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const find = (selector, within = document) => within.querySelector(selector);

export function clock(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.floor(Math.abs(seconds) + 1e-6);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  if (whole >= 3600) parts.unshift(String(Math.floor(whole / 3600)));
  return (seconds <= -1 ? "−" : "") + parts.join(":");
}

export function figure(number) {
  if (number === null || number === undefined) return "–";
  const size = Math.abs(number);
  if (size >= 1e6) return (number / 1e6).toFixed(1) + "M";
  if (size >= 100 || Number.isInteger(number)) return Math.round(number).toLocaleString("en").replaceAll(",", " ");
  return number.toFixed(size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 4);
}

// A question before something is done; the answer is true or false.
export function ask(title, text, yes, no, { danger = false } = {}) {
  return new Promise((resolve) => {
    // A yes is heard in the click itself, not when the dialog has closed: what follows is sent
    // even when the page is closed at once.
    const heard = (event) => { if (event.submitter && event.submitter.value === "yes") resolve(true); };
    const dialog = h("dialog", { "aria-label": title },
      h("form", { method: "dialog", onsubmit: heard },
        h("h2", {}, title), text ? h("p", { class: "briefing" }, text) : null,
        h("div", { class: "row" },
          h("button", { value: "no" }, no),
          h("button", { value: "yes", class: danger ? "danger main" : "main", autofocus: true }, yes))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
