// What all drawings share: the part of time they show, colours, canvases, ticks, numbers.

const LEFT = 78, RIGHT = 14;

// The part of time that is shown.
class View {
  constructor(begin, end) {
    this.limits = [begin, end];
    this.set(begin, end);
  }

  set(from, to) {
    const [begin, end] = this.limits, whole = end - begin;
    const span = Math.min(Math.max(to - from, 20), whole * 1.2);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, begin - whole * 0.1), end + whole * 0.1 - span);
    this.to = this.from + span;
  }

  get span() {
    return this.to - this.from;
  }

  // A little air around both ends.
  show(from, to) {
    const air = Math.max((to - from) * 0.03, 1);
    this.set(from - air, to + air);
  }

  zoom(factor, at) {
    this.set(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  move(by) {
    this.set(this.from + by, this.to + by);
  }

  x(time, width) {
    return LEFT + (time - this.from) / this.span * (width - LEFT - RIGHT);
  }

  time(x, width) {
    return this.from + (x - LEFT) / (width - LEFT - RIGHT) * this.span;
  }
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["panel", "fg", "muted", "line", "faint", "data", "again", "ack", "other", "lost", "mark", "select",
    "cursor", "area", "window"];
  const all = Object.fromEntries(names.map(name => [name, style.getPropertyValue("--" + name).trim()]));
  all.kinds = [all.data, all.again, all.ack, all.lost, all.other];
  return all;
}

// The canvas with as many dots as the screen has, empty. Returns its context and size in CSS pixels.
function blank(canvas, height) {
  const width = Math.max(200, canvas.clientWidth);
  const dots = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
  pen.textBaseline = "middle";
  pen.lineWidth = 1;
  return { pen, width, height };
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

// A step of 1, 2 or 5 times a power of ten that divides a span into about so many parts.
function niceStep(span, parts) {
  const raw = span / parts, power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find(factor => factor * power >= raw);
}

function ticks(from, to, parts) {
  const step = niceStep(to - from, parts), all = [];
  for (let k = Math.ceil(from / step); k * step <= to; k++) all.push(k * step);
  return { step, all };
}

const UNITS = [["s", 1e9], ["ms", 1e6], ["\u00b5s", 1e3], ["ns", 1]];

// A time in nanoseconds, with as many digits as a step between such times needs.
function clock(time, step) {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(time) >= size) ?? UNITS[3];
  const digits = Math.max(0, Math.ceil(Math.log10(size / Math.max(step, 1)) - 1e-9));
  return time === 0 ? "0" : `${(time / size).toFixed(digits)} ${unit}`;
}

// A time to read, four digits or more.
function duration(time) {
  if (time === 0) return "0 s";
  const [unit, size] = UNITS.find(([, size]) => time >= size) ?? UNITS[3];
  return `${+(time / size).toFixed(3)} ${unit}`;
}

// An instant of the run, to the microsecond.
function instant(time) {
  return `${(time / 1e9).toFixed(6)} s`;
}

function amount(number) {
  if (number >= 1e6) return `${+(number / 1e6).toFixed(2)} M`;
  return number >= 1e4 ? `${+(number / 1e3).toFixed(1)} k` : String(+number.toFixed(2));
}

// A text that lies on its background.
function plate(pen, text, x, y, colour, ground) {
  const width = pen.measureText(text).width;
  pen.fillStyle = ground;
  pen.fillRect(x - 3, y - 8, width + 6, 16);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function timeAxis({ pen, width }, view, top, bottom, colour) {
  const { step, all } = ticks(view.from, view.to, Math.max(3, width / 130));
  for (const time of all) {
    const x = Math.round(view.x(time, width)) + 0.5;
    if (x < LEFT || x > width - RIGHT) continue;
    pen.strokeStyle = colour.faint;
    line(pen, x, top, x, bottom);
    const text = clock(time, step);
    pen.fillStyle = colour.muted;
    pen.textAlign = "center";
    if (x < width - 30) pen.fillText(text, x, bottom + 10);
  }
  pen.textAlign = "left";
}

function cursorLine(pen, x, top, bottom, colour) {
  pen.strokeStyle = colour.cursor;
  pen.setLineDash([3, 3]);
  line(pen, Math.round(x) + 0.5, top, Math.round(x) + 0.5, bottom);
  pen.setLineDash([]);
}
