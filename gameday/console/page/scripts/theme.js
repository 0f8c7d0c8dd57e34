// The theme that was chosen, before anything is drawn: "light", "dark", or none for the system's.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("gameday-theme"); } catch { /* no storage: the system's */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
