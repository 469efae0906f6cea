"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const canvas = tip.querySelector("canvas");
  const text = tip.querySelector("div");
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, attributes, parent) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.appendChild(element);
    return element;
  };
  const number = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(+value.toPrecision(4));
  };
  const cell = (row, content) => {
    const td = document.createElement("td");
    td.textContent = content;
    row.appendChild(td);
    return td;
  };
  const show = (x, y) => {
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, x + 16 + width > innerWidth ? x - width - 12 : x + 16) + "px";
    tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - height - 6)) + "px";
  };
  const hide = (svg) => {
    tip.hidden = true;
    canvas.hidden = true;
    svg.querySelectorAll(".guide,.ring").forEach((element) => element.remove());
  };
  const inside = (svg, event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  const outside = (svg, x, y) => {
    const point = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    return [point.x, point.y];
  };

  // Lines: the values of all of them at the nearest place.
  const lines = (svg, plot) => {
    const [left, top, right, bottom] = plot.box;
    const places = [...new Set(plot.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    const at = (value) => left + ((value - plot.x[0]) / (plot.x[1] - plot.x[0])) * (right - left);
    let current = places.length - 1;
    const tell = (place, client) => {
      current = place;
      const value = places[place];
      hide(svg);
      make("path", { class: "guide", d: `M${at(value)} ${top}V${bottom}` }, svg);
      text.replaceChildren();
      const title = document.createElement("strong");
      title.textContent = `${plot.label} ${number(value)}`;
      const table = document.createElement("table");
      plot.lines.forEach((line, index) => {
        const here = line.x.indexOf(value);
        if (here < 0) return;
        const row = table.insertRow();
        const mark = cell(row, "●");
        mark.style.color = `var(--c${index % 8})`;
        cell(row, line.name);
        const bounds = line.lo && line.lo[here] !== null ? ` (${number(line.lo[here])} to ${number(line.hi[here])})` : "";
        cell(row, number(line.y[here]) + bounds);
      });
      text.append(title, table);
      show(...(client || outside(svg, at(value), top)));
    };
    svg.addEventListener("pointermove", (event) => {
      const [x, y] = inside(svg, event);
      if (x < left - 8 || x > right + 8 || y < top || y > bottom) return hide(svg);
      let nearest = 0;
      places.forEach((value, index) => {
        if (Math.abs(at(value) - x) < Math.abs(at(places[nearest]) - x)) nearest = index;
      });
      tell(nearest, [event.clientX, event.clientY]);
    });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !places.length) return;
      event.preventDefault();
      tell(Math.min(places.length - 1, Math.max(0, current + step)));
    });
  };

  // Maps: the nearest point, with its picture.
  const map = (svg, plot) => {
    const points = [];
    svg.querySelectorAll(".dots").forEach((path) => {
      for (const [, x, y] of path.getAttribute("d").matchAll(/M(-?[\d.]+) (-?[\d.]+)/g)) {
        points.push([+x, +y, +path.dataset.class]);
      }
    });
    svg.addEventListener("pointermove", (event) => {
      const [x, y] = inside(svg, event);
      let nearest = -1;
      let least = 20 * 20;
      points.forEach(([px, py], index) => {
        const distance = (px - x) ** 2 + (py - y) ** 2;
        if (distance < least) [nearest, least] = [index, distance];
      });
      hide(svg);
      if (nearest < 0) return;
      const [px, py, label] = points[nearest];
      make("circle", { class: "ring", cx: px, cy: py, r: 8 }, svg);
      text.replaceChildren();
      const name = document.createElement("strong");
      name.textContent = plot.names[label] || "";
      const more = document.createElement("div");
      more.textContent = plot.texts[nearest] || "";
      text.append(name, more);
      if (plot.atlas !== null) {
        const { side, columns } = data.atlases[plot.atlas];
        const row = plot.rows[nearest];
        const image = document.getElementById(`atlas-${plot.atlas}`);
        const context = canvas.getContext("2d");
        context.clearRect(0, 0, 96, 96);
        context.drawImage(image, (row % columns) * side, Math.floor(row / columns) * side, side, side, 0, 0, 96, 96);
        canvas.hidden = false;
      }
      show(event.clientX, event.clientY);
    });
  };

  // Matrices: the counts of a cell.
  const matrix = (svg, plot) => {
    const [left, top, right] = plot.box;
    const size = (right - left) / plot.classes;
    svg.addEventListener("pointermove", (event) => {
      const [x, y] = inside(svg, event);
      const [column, row] = [Math.floor((x - left) / size), Math.floor((y - top) / size)];
      hide(svg);
      if (column < 0 || row < 0 || column >= plot.classes || row >= plot.classes) return;
      const counts = plot.counts.slice(row * plot.classes, (row + 1) * plot.classes);
      const total = counts.reduce((sum, count) => sum + count, 0);
      const percent = total ? ` (${((100 * counts[column]) / total).toFixed(1)} %)` : "";
      text.textContent = `${plot.names[row]} taken for ${plot.names[column]}: ${counts[column]} of ${total}${percent}`;
      show(event.clientX, event.clientY);
    });
  };

  const kinds = { lines, map, matrix };
  for (const [id, plot] of Object.entries(data.plots)) {
    const svg = document.getElementById(id);
    kinds[plot.kind](svg, plot);
    svg.addEventListener("pointerleave", () => hide(svg));
    svg.addEventListener("blur", () => hide(svg));
  }

  // A class of a map alone, while it is pointed at or chosen.
  document.querySelectorAll("button[data-map]").forEach((button) => {
    const svg = document.getElementById(button.dataset.map);
    const others = () => svg.querySelectorAll(".dots");
    const dim = (chosen) =>
      others().forEach((path) => path.classList.toggle("dim", chosen !== null && path.dataset.class !== chosen));
    const pressed = () => {
      const found = document.querySelector(`button[data-map="${button.dataset.map}"][aria-pressed=true]`);
      return found ? found.dataset.class : null;
    };
    button.addEventListener("pointerenter", () => dim(button.dataset.class));
    button.addEventListener("pointerleave", () => dim(pressed()));
    button.addEventListener("click", () => {
      const was = button.getAttribute("aria-pressed") === "true";
      document.querySelectorAll(`button[data-map="${button.dataset.map}"]`).forEach((other) => other.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(!was));
      dim(pressed());
    });
  });

  // Every plot as a file: its colours become part of it.
  const file = (svg) => {
    const copy = svg.cloneNode(true);
    const style = getComputedStyle(document.documentElement);
    const literal = (rules) => rules.replace(/var\(--(\w+)\)/g, (_, name) => style.getPropertyValue(`--${name}`).trim());
    const { width, height } = svg.viewBox.baseVal;
    copy.setAttribute("xmlns", SVG);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const rules = document.createElementNS(SVG, "style");
    rules.textContent = literal(document.getElementById("plot-rules").textContent.split("\n").filter((rule) => rule.startsWith(".plot")).join("\n"));
    const paper = document.createElementNS(SVG, "rect");
    paper.setAttribute("width", width);
    paper.setAttribute("height", height);
    paper.setAttribute("fill", literal("var(--paper)"));
    copy.prepend(rules, paper);
    return "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
  };
  const save = (address, name) => {
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
  };
  document.querySelectorAll("figure[data-name]").forEach((figure) => {
    const svg = figure.querySelector("svg.plot");
    const tools = document.createElement("div");
    tools.className = "tools";
    const button = (label, action) => {
      const element = document.createElement("button");
      element.type = "button";
      element.textContent = label;
      element.setAttribute("aria-label", `Save this plot as ${label}`);
      element.addEventListener("click", action);
      tools.appendChild(element);
    };
    button("SVG", () => save(file(svg), `${figure.dataset.name}.svg`));
    button("PNG", () => {
      const { width, height } = svg.viewBox.baseVal;
      const image = new Image();
      image.onload = () => {
        const paint = document.createElement("canvas");
        [paint.width, paint.height] = [2 * width, 2 * height];
        paint.getContext("2d").drawImage(image, 0, 0, paint.width, paint.height);
        save(paint.toDataURL("image/png"), `${figure.dataset.name}.png`);
      };
      image.src = file(svg);
    });
    figure.appendChild(tools);
  });
})();
