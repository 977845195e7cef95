// A small line chart of recent values.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 60;
const HEIGHT = 20;

/** An SVG line, and a function that draws values into it, the latest at the right end. */
export function sparkline() {
  const row = document.createElementNS(SVG, "svg");
  const area = document.createElementNS(SVG, "path");
  const line = document.createElementNS(SVG, "path");
  row.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  row.setAttribute("preserveAspectRatio", "none");
  row.setAttribute("aria-hidden", "true");
  row.classList.add("sparkline");
  area.classList.add("area");
  line.classList.add("line");
  row.append(area, line);
  const draw = (values) => {
    const path = points(values);
    line.setAttribute("d", path);
    area.setAttribute("d", path && `${path} V${HEIGHT} H${WIDTH - values.length + 1} Z`);
  };
  return { row, draw };
}

function points(values) {
  if (values.length < 2) return "";
  const top = Math.max(...values, Number.MIN_VALUE);
  const first = WIDTH - values.length + 1;
  return values
    .map((value, place) => `${place ? "L" : "M"}${first + place} ${(HEIGHT - 1.5 - (value / top) * (HEIGHT - 3)).toFixed(2)}`)
    .join(" ");
}
