// Colours of the canvas, light or dark as the system asks; letters, dashes and patterns tell apart what colours do.

const LIGHT = {
  paper: "#fff", edge: "#d5ddd7", zero: "#e3e8e4", ink: "#1b241d", onInk: "#fff", quiet: "#4a544c", strong: "#8a968e", veil: "rgb(255 255 255 / 85%)",
  channels: ["#b3261e", "#00695c", "#1a56b0", "#7a4b00", "#6a1b9a", "#455a64"],  // 4.5 to 1 on white
  styles: { estimate: "#14502f", classical: "#a84300", reference: "#1b241d", readings: "#1a56b0" },
  doubt: "rgb(31 111 67 / 20%)", ring: "rgb(31 111 67 / 55%)", accused: "#8a0050", fault: "#d1006f", faulty: "rgb(209 0 111 / 9%)",
  calm: "#dcece2", disc: "#eef2ee", rim: "#c3cdc6", front: "#1f6f43", top: "#cfdfd5", side: "#9db3a5", crease: "#3f4f45",
};
const DARK = {
  paper: "#161c1f", edge: "#3a4549", zero: "#2d373b", ink: "#e7ece8", onInk: "#12171a", quiet: "#b3beb6", strong: "#6c776f", veil: "rgb(22 28 31 / 85%)",
  channels: ["#ff8a80", "#4db6ac", "#82b1ff", "#e0b060", "#ce93d8", "#b0bec5"],  // 4.5 to 1 on the paper
  styles: { estimate: "#6fd39c", classical: "#ffb074", reference: "#e7ece8", readings: "#86b4ee" },
  doubt: "rgb(111 211 156 / 24%)", ring: "rgb(111 211 156 / 55%)", accused: "#ff9ad0", fault: "#ff5ab0", faulty: "rgb(255 90 176 / 14%)",
  calm: "#1f3d2c", disc: "#1c2427", rim: "#4a555a", front: "#57b583", top: "#2c4a3a", side: "#22382d", crease: "#9db3a5",
};
const night = matchMedia("(prefers-color-scheme: dark)");
let tone = night.matches ? DARK : LIGHT;

// What was drawn in the other colours is drawn anew.
function followTheme(view) {
  night.addEventListener("change", () => {
    tone = night.matches ? DARK : LIGHT;
    view.lanesOf = view.patterns = undefined;
    schedule(view);
  });
}
