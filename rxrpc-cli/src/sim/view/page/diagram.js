// The sequence diagram: a lane for each node, time from left to right, packets as arrows between the lanes.

const TOP = 54, BOTTOM = 26;

class Diagram {
  constructor(canvas, run) {
    this.canvas = canvas;
    this.run = run;
    const lanes = run.lanes.length;
    this.gap = lanes <= 2 ? 300 : Math.max(130, 420 / (lanes - 1));
    this.height = TOP + BOTTOM + 24 + this.gap * Math.max(1, lanes - 1);
  }

  lane(number) {
    return TOP + 12 + number * this.gap;
  }

  // Both ends of an arrow. One without a target, or lost on its way, ends between the lanes.
  ends(i, view, width) {
    const arrows = this.run.arrows, flags = arrows.flags[i];
    const from = this.lane(arrows.from[i]);
    const to = arrows.to[i] < 0 ? from + (arrows.from[i] > 0 ? -1 : 1) * this.gap : this.lane(arrows.to[i]);
    const part = flags & LOST ? 0.62 : flags & OPEN ? 0.3 : arrows.to[i] < 0 ? 0.5 : 1;
    const x0 = view.x(arrows.start[i], width), x1 = view.x(arrows.tip[i], width);
    // Packets of a node to itself are drawn as a bow beside its lane.
    const bow = to === from ? 36 : 0;
    return [x0, from, x1, from + (to - from) * part + bow];
  }

  draw(view, state) {
    const began = performance.now();
    const paper = blank(this.canvas, this.height), { pen, width } = paper;
    const colour = colours();
    timeAxis(paper, view, TOP - 8, this.height - BOTTOM, colour);
    this.lanes(paper, colour);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width - LEFT - RIGHT + 8, this.height);
    pen.clip();
    this.notes(paper, view, colour);
    if (state.timers) this.timers(paper, view, colour);
    const drawn = this.arrows(paper, view, colour, state);
    if (state.cursor !== null) cursorLine(pen, view.x(state.cursor, width), TOP - 8, this.height - BOTTOM, colour);
    pen.restore();
    if (state.cursor !== null) {
      pen.textAlign = "left";
      const x = Math.min(view.x(state.cursor, width) + 4, width - 90);
      plate(pen, instant(state.cursor), Math.max(LEFT, x), this.height - BOTTOM - 8, colour.muted, colour.panel);
    }
    return { drawn, took: performance.now() - began };
  }

  lanes({ pen, width }, colour) {
    this.run.lanes.forEach((name, i) => {
      const y = this.lane(i);
      pen.strokeStyle = colour.muted;
      pen.lineWidth = 1.5;
      line(pen, LEFT, y, width - RIGHT, y);
      pen.lineWidth = 1;
      pen.fillStyle = colour.fg;
      pen.textAlign = "right";
      pen.fillText(name, LEFT - 8, y - (this.run.data.nodes[i] ? 7 : 0));
      const node = this.run.data.nodes[i];
      if (node) {
        pen.fillStyle = colour.muted;
        pen.save();
        pen.font = '10px system-ui, "DejaVu Sans", sans-serif';
        pen.fillText(node.address.replace(/:\d+$/, "") + (node.nat ? " nat" : ""), LEFT - 8, y + 7);
        pen.restore();
      }
    });
    pen.textAlign = "left";
  }

  // Actions and phases as upright lines with their names, violations in red.
  notes({ pen, width }, view, colour) {
    const rows = [0, 0, 0];
    const mark = (time, text, strong) => {
      if (time < view.from || time > view.to) return;
      const x = Math.round(view.x(time, width)) + 0.5;
      pen.strokeStyle = strong ? colour.lost : colour.mark;
      pen.setLineDash(strong ? [] : [5, 3]);
      line(pen, x, 36, x, this.height - BOTTOM);
      pen.setLineDash([]);
      const row = rows.findIndex(end => end <= x);
      if (row < 0) return;
      const cut = text.length > 60 ? text.slice(0, 59) + "\u2026" : text;
      const left = Math.min(x + 3, width - RIGHT - pen.measureText(cut).width);
      plate(pen, cut, Math.max(LEFT, left), 8 + row * 14, strong ? colour.lost : colour.mark, colour.panel);
      rows[row] = x + pen.measureText(cut).width + 12;
    };
    for (const [time, node, text] of this.run.data.notes) {
      mark(time, node === null ? text : `${this.run.lanes[node]}: ${text}`, false);
    }
    for (const [time, , oracle] of this.run.data.violations) mark(time, `violation: ${oracle}`, true);
  }

  timers({ pen, width }, view, colour) {
    const names = this.run.names.wakes, last = new Map();
    pen.fillStyle = pen.strokeStyle = colour.mark;
    pen.font = '10px system-ui, "DejaVu Sans", sans-serif';
    for (const [time, node, wake] of this.run.data.timers) {
      if (time < view.from || time > view.to) continue;
      const x = Math.round(view.x(time, width)) + 0.5, y = this.lane(node), before = last.get(node) ?? [-9, -99];
      if (x - before[0] < 1) continue;
      line(pen, x, y - 5, x, y + 5);
      const text = names[wake], wide = x - before[1] > 4;
      if (wide) pen.fillText(text, x + 3, y + (node === 0 ? -9 : 11));
      last.set(node, [x, wide ? x + 3 + pen.measureText(text).width : before[1]]);
    }
    pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
  }

  arrows({ pen, width }, view, colour, state) {
    const arrows = this.run.arrows, visible = [];
    arrows.each(view.from, view.to, i => visible.push(i));
    const heads = visible.length < 3000, seen = new Map(), groups = new Map();
    for (const i of visible) {
      const [x0, y0, x1, y1] = this.ends(i, view, width);
      const style = arrows.kind[i] | arrows.flags[i] << 4;
      const way = arrows.from[i] * 512 + arrows.to[i] + style * 262144;
      // Arrows that would cover each other dot by dot are drawn once.
      const dots = Math.round(x0 * 2) * 65536 + Math.round(x1 * 2);
      if (!heads && seen.get(way) === dots) continue;
      seen.set(way, dots);
      if (!groups.has(style)) groups.set(style, []);
      groups.get(style).push([x0, y0, x1, y1]);
    }
    const order = [...groups].sort(([a], [b]) => this.rank(a) - this.rank(b));
    for (const [style, ends] of order) this.group(pen, style, ends, colour, heads);
    if (visible.length <= 3000) this.labels(pen, this.bundles(visible, view, width), view, width, colour);
    if (state.selected >= 0) this.selected(pen, state.selected, view, width, colour);
    return visible.length;
  }

  // What is rare lies above what is common.
  rank(style) {
    const kind = style & 15, flags = style >> 4;
    return (flags & LOST ? 100 : 0) + (flags ? 10 : 0) + [0, 5, 1, 6, 4][kind];
  }

  group(pen, style, ends, colour, heads) {
    const kind = style & 15, flags = style >> 4;
    const busy = ends.length > 1000;
    pen.strokeStyle = pen.fillStyle = colour.kinds[kind];
    pen.globalAlpha = Math.max(0.2, Math.min(1, 400 / ends.length));
    pen.lineWidth = kind === AGAIN ? 1.8 : busy ? 0.7 : 1.1;
    pen.setLineDash(flags & COPIED ? [2, 3] : kind === 2 ? [6, 3] : []);
    pen.beginPath();
    for (const [x0, y0, x1, y1] of ends) {
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1);
    }
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    if (heads && !(flags & (LOST | OPEN))) {
      pen.beginPath();
      for (const end of ends) this.head(pen, end);
      pen.fill();
    }
    if (flags & BROKEN) {
      for (const [x0, y0, x1, y1] of ends) pen.strokeRect((x0 + x1) / 2 - 3.5, (y0 + y1) / 2 - 3.5, 7, 7);
    }
    if (flags & LOST) {
      pen.strokeStyle = colour.lost;
      pen.lineWidth = 1.8;
      pen.beginPath();
      const arm = ends.length > 60 ? 2.5 : 4;
      for (const [, , x, y] of ends) {
        pen.moveTo(x - arm, y - arm);
        pen.lineTo(x + arm, y + arm);
        pen.moveTo(x + arm, y - arm);
        pen.lineTo(x - arm, y + arm);
      }
      pen.stroke();
    }
    pen.lineWidth = 1;
  }

  head(pen, [x0, y0, x1, y1]) {
    const angle = Math.atan2(y1 - y0, x1 - x0), size = 7, wide = 0.42;
    pen.moveTo(x1, y1);
    pen.lineTo(x1 - size * Math.cos(angle - wide), y1 - size * Math.sin(angle - wide));
    pen.lineTo(x1 - size * Math.cos(angle + wide), y1 - size * Math.sin(angle + wide));
  }

  // Arrows of one kind that lie upon each other: the first and the last of them, and how many.
  bundles(visible, view, width) {
    const arrows = this.run.arrows, bundles = new Map();
    for (const i of visible) {
      const ends = [arrows.start[i], arrows.tip[i]].map(time => Math.round(view.x(time, width)));
      const key = [arrows.from[i], arrows.to[i], arrows.kind[i], arrows.flags[i], ...ends].join();
      const bundle = bundles.get(key);
      if (bundle) {
        bundle.last = i;
        bundle.count++;
      } else {
        bundles.set(key, { first: i, last: i, count: 1 });
      }
    }
    return [...bundles.values()];
  }

  text({ first, last, count }) {
    const arrows = this.run.arrows, text = Run.short(this.run, arrows.packet[first]);
    const header = this.run.data.packets[arrows.packet[last]][6];
    const more = count === 1 ? "" : header?.[3] === DATA ? ` \u2026 ${header[1]}, ${count} packets` : `, ${count} packets`;
    return text + more + (arrows.flags[first] & LOST ? ` \u2717 ${this.loss(first)}` : "");
  }

  // Texts along the arrows, as far as they have room beside the one before.
  labels(pen, bundles, view, width, colour) {
    if (bundles.length > 160) return;
    const arrows = this.run.arrows, last = new Map();
    pen.font = '11px system-ui, "DejaVu Sans", sans-serif';
    pen.textAlign = "center";
    for (const bundle of bundles) {
      const i = bundle.first, [x0, y0, x1, y1] = this.ends(i, view, width);
      const length = Math.hypot(x1 - x0, y1 - y0);
      const text = this.text(bundle);
      // DATA on one side of the line, the rest on the other.
      const below = arrows.kind[i] <= AGAIN;
      const lane = arrows.from[i] * 512 + arrows.to[i] + (below ? 0 : 262144);
      // The distance of two lines that go the same way.
      const room = Math.abs(x0 - (last.get(lane) ?? -99)) * Math.abs(y1 - y0) / Math.max(1, length);
      if (room < 12 || pen.measureText(text).width > length - 16) continue;
      last.set(lane, x0);
      pen.save();
      pen.translate(x0 + (x1 - x0) * 0.42, y0 + (y1 - y0) * 0.42);
      let angle = Math.atan2(y1 - y0, x1 - x0);
      if (Math.abs(angle) > Math.PI / 2 + 0.01) angle += Math.PI;
      pen.rotate(angle);
      const wide = pen.measureText(text).width;
      pen.globalAlpha = 0.85;
      pen.fillStyle = colour.panel;
      pen.fillRect(-wide / 2 - 2, below ? 3 : -15, wide + 4, 12);
      pen.globalAlpha = 1;
      pen.fillStyle = arrows.flags[i] & LOST ? colour.lost : colour.kinds[arrows.kind[i]];
      pen.fillText(text, 0, below ? 9 : -9);
      pen.restore();
    }
    pen.textAlign = "left";
    pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
  }

  loss(i) {
    const arrows = this.run.arrows;
    const end = this.run.data.packets[arrows.packet[i]][8].find(end => end[1] >= 0 && end[0] === arrows.stop[i]);
    return end ? this.run.data.losses[end[1]] : "";
  }

  selected(pen, place, view, width, colour) {
    const arrows = this.run.arrows;
    pen.strokeStyle = pen.fillStyle = colour.select;
    for (let i = arrows.of(place); i >= 0 && arrows.packet[i] === place; i++) {
      const ends = this.ends(i, view, width);
      pen.lineWidth = 2.6;
      line(pen, ...ends);
      pen.beginPath();
      if (!(arrows.flags[i] & (LOST | OPEN))) this.head(pen, ends);
      pen.arc(ends[0], ends[1], 3.5, 0, 7);
      pen.fill();
    }
    pen.lineWidth = 1;
  }

  // Place of the packet whose arrow is nearest to a point, or -1. Of several that lie upon each other the one
  // after `chosen`, so that clicks show one after the other.
  hit(x, y, view, chosen) {
    const arrows = this.run.arrows, width = this.canvas.clientWidth;
    let best = 7, found = [];
    arrows.each(view.time(x - 8, width) - 1, view.time(x + 8, width) + 1, i => {
      const [x0, y0, x1, y1] = this.ends(i, view, width);
      const dx = x1 - x0, dy = y1 - y0;
      const along = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
      const distance = Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
      if (distance < best - 0.5) [best, found] = [distance, []];
      if (distance < best + 0.5) found.push(arrows.packet[i]);
    });
    return found.length ? found[(found.indexOf(chosen) + 1) % found.length] : -1;
  }
}

// The run in a strip: how many packets when, how many of them lost, and the part that is shown.
class Overview {
  constructor(canvas, run) {
    this.canvas = canvas;
    this.run = run;
    this.parts = [[run.callsBegin, run.callsEnd], [run.begin, run.end]].map(([begin, end]) => {
      const part = new View(run.begin, run.end);
      part.show(begin, end);
      return part;
    });
    this.view = this.parts[0];
  }

  draw(view) {
    // The time after the last call is shown only to who goes there: it may be a thousand times as long.
    const [calls] = this.parts, air = calls.span * 0.1;
    this.view = this.parts[view.from < calls.from - air || view.to > calls.to + air ? 1 : 0];
    const paper = blank(this.canvas, 40), { pen, width } = paper, colour = colours();
    const bins = Math.floor((width - LEFT - RIGHT) / 2), all = new Float64Array(bins), lost = new Float64Array(bins);
    const arrows = this.run.arrows, scale = bins / this.view.span;
    for (let i = 0; i < arrows.length; i++) {
      const bin = Math.floor((arrows.start[i] - this.view.from) * scale);
      if (bin < 0 || bin >= bins) continue;
      all[bin]++;
      if (arrows.flags[i] & LOST) lost[bin]++;
    }
    const most = Math.log1p(all.reduce((most, count) => Math.max(most, count), 1));
    const bar = (count, bin) => {
      const high = count ? Math.max(2, Math.log1p(count) / most * 30) : 0;
      pen.fillRect(LEFT + bin * 2, 38 - high, 2, high);
    };
    pen.fillStyle = colour.data;
    all.forEach(bar);
    pen.fillStyle = colour.lost;
    lost.forEach(bar);
    pen.fillStyle = colour.muted;
    pen.textAlign = "right";
    pen.fillText("packets", LEFT - 8, 20);
    pen.textAlign = "left";
    const x0 = Math.max(LEFT, this.view.x(view.from, width)), x1 = Math.min(width - RIGHT, this.view.x(view.to, width));
    pen.fillStyle = colour.window;
    pen.fillRect(x0, 1, Math.max(2, x1 - x0), 38);
    pen.strokeStyle = colour.fg;
    pen.strokeRect(x0 + 0.5, 1.5, Math.max(2, x1 - x0), 37);
  }
}
