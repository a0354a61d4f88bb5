// Colours of the canvas in the page's own theme, light or dark, and on paper.

const LIGHT = {
  plain: "#f3f4f1", sea: "#dfe8ee", land: "#f6f5f0", coast: "#93a4ad", empty: "#f0f0f0", around: "rgba(128,128,128,0.10)", border: "rgba(70,70,70,0.5)",
  strong: "rgba(28,34,30,0.85)", casing: "rgba(255,255,255,0.6)", halo: "rgba(255,255,255,0.9)", name: "#18201b", quiet: "#434c46", faint: "#4d5a60",
  graticule: "rgba(60,85,100,0.22)", mark: "#111111", chosen: "#d1006f", rim: "#ffffff",
};
const DARK = {
  plain: "#1a201d", sea: "#10171b", land: "#232a26", coast: "#566670", empty: "#3d4440", around: "rgba(160,160,160,0.14)", border: "rgba(10,10,10,0.55)",
  strong: "rgba(245,248,246,0.85)", casing: "rgba(0,0,0,0.6)", halo: "rgba(12,16,14,0.88)", name: "#f2f5f3", quiet: "#c3cdc7", faint: "#9fb0b8",
  graticule: "rgba(170,200,215,0.2)", mark: "#ffffff", chosen: "#ff5ab0", rim: "#101512",
};

// Colours in CSS come in many notations; the browser turns each of them into pixels.
function isDark(colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, 1, 1);
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 110;
}

function themed(view, isPaper) {
  const style = getComputedStyle(view.frame), isNight = !isPaper && isDark(style.backgroundColor);
  view.theme = isNight ? DARK : LIGHT;
  view.font = style.fontFamily || "sans-serif";
  view.root.querySelector(".fieldmap").classList.toggle("is-dark", isNight);
}

// The frame's colour is the page's and takes a moment to change, so that its change is told of.
function followTheme(view) {
  view.frame.addEventListener("transitionend", (event) => {
    if (event.target !== view.frame || event.propertyName !== "background-color") return;
    themed(view, false);
    schedule(view, "all");
  });
  window.addEventListener("beforeprint", () => { themed(view, true); draw(view, "all"); });
  window.addEventListener("afterprint", () => { themed(view, false); draw(view, "all"); });
}
