// Windows, round trips and bytes of one side of a call over time, under the diagram and with its time axis.

// Columns of a row.
const AT = 0, CWND = 1, SSTHRESH = 2, PEER_WINDOW = 3, IN_FLIGHT = 4, SRTT = 5, RTO = 6, SENT = 7, ACKED = 8,
  RECEIVED = 9;
const PANEL = 118, PANEL_GAP = 10;

class Plots {
  constructor(canvas, run) {
    this.canvas = canvas;
    this.run = run;
    this.height = 3 * (PANEL + PANEL_GAP) + 22;
    this.choose(-1);
  }

  // The lines of a side: what the other side received is what it has delivered.
  choose(place) {
    const series = this.run.data.series, side = series[place];
    const other = side && series.find(s => s !== side && s.call === side.call && s.call !== null);
    const lines = (rows, list) => list.map(([name, column, style]) => ({ name, column, style, rows: rows ?? [] }));
    const rows = side?.rows;
    this.panels = [
      { title: "packets", unit: amount, free: [0, 3], lines: lines(rows, [
        ["in flight", IN_FLIGHT, "area"], ["peer window", PEER_WINDOW, "other"], ["threshold", SSTHRESH, "again"],
        ["congestion window", CWND, "data"]]) },
      { title: "time", unit: us => duration(us * 1000), log: true, lines: lines(rows, [
        ["time-out", RTO, "again"], ["round trip", SRTT, "data"]]) },
      { title: "bytes", unit: amount, lines: [
        ...lines(rows, [["sent", SENT, "data"], ["acknowledged", ACKED, "ack"]]),
        ...lines(other?.rows, [["received there", RECEIVED, "other"]]),
        ...lines(rows, [["received here", RECEIVED, "again"]])] },
    ];
  }

  draw(view, state) {
    const paper = blank(this.canvas, this.height), { pen, width } = paper, colour = colours();
    this.panels.forEach((panel, i) => {
      const top = i * (PANEL + PANEL_GAP) + 6;
      this.panel(paper, panel, top, view, state, colour);
    });
    const bottom = this.height - 22;
    timeAxis(paper, view, bottom, bottom, colour);
    if (state.cursor !== null) {
      const x = view.x(state.cursor, width);
      if (x >= LEFT && x <= width - RIGHT) cursorLine(pen, x, 6, bottom, colour);
    }
  }

  panel(paper, panel, top, view, state, colour) {
    const { pen, width } = paper, bottom = top + PANEL - 4;
    const [least, most] = panel.log ? this.decades(panel, view) : [0, this.most(panel, view)];
    const share = panel.log ? value => Math.log10(Math.max(value, least) / least) / Math.log10(most / least)
      : value => value / most;
    const y = value => bottom - share(value) * (PANEL - 26);
    const all = panel.log ? powers(least, most) : ticks(0, most, 3).all;
    pen.textAlign = "right";
    for (const value of all) {
      pen.strokeStyle = colour.faint;
      line(pen, LEFT, Math.round(y(value)) + 0.5, width - RIGHT, Math.round(y(value)) + 0.5);
      pen.fillStyle = colour.muted;
      pen.fillText(panel.unit(value), LEFT - 6, y(value));
    }
    pen.strokeStyle = colour.line;
    line(pen, LEFT, bottom + 0.5, width - RIGHT, bottom + 0.5);
    pen.textAlign = "left";
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, top + 14, width - LEFT - RIGHT, PANEL);
    pen.clip();
    panel.lines.forEach(line => this.line(pen, line, y, bottom, view, width, colour));
    pen.restore();
    this.caption(pen, panel, top, state, colour);
  }

  // Top of the scale. Windows that nobody uses may lie above it.
  most(panel, view) {
    let most = 0;
    panel.lines.forEach(({ rows, column, style }) => {
      if (style === "other" && column === PEER_WINDOW || column === SSTHRESH) return;
      for (let i = Math.max(0, upTo(rows, view.from)); i < rows.length && rows[i][AT] <= view.to; i++) {
        most = Math.max(most, rows[i][column]);
      }
    });
    return most * 1.08 || 1;
  }

  // The powers of ten around all values, for times: a time-out may be a thousand round trips.
  decades(panel, view) {
    let least = Infinity;
    panel.lines.forEach(({ rows, column }) => {
      for (let i = Math.max(0, upTo(rows, view.from)); i < rows.length && rows[i][AT] <= view.to; i++) {
        if (rows[i][column] > 0) least = Math.min(least, rows[i][column]);
      }
    });
    if (least === Infinity) return [1, 10];
    const low = 10 ** Math.floor(Math.log10(least));
    return [low, Math.max(low * 10, 10 ** Math.ceil(Math.log10(this.most(panel, view) / 1.08)))];
  }

  // Steps, since each value holds until the next.
  line(pen, { rows, column, style }, y, bottom, view, width, colour) {
    const first = Math.max(0, upTo(rows, view.from));
    const points = [];
    let x = 0, low = 0, high = 0, level = null;
    const flush = () => {
      if (level === null) return;
      points.push([x, low], [x, high], [x, level]);
    };
    for (let i = first; i < rows.length; i++) {
      const value = rows[i][column], here = Math.max(view.x(rows[i][AT], width), LEFT - 2);
      if (value === 0 && (column === SSTHRESH || column === SRTT)) continue;
      if (level !== null && here - x < 0.5) {
        low = Math.min(low, value);
        high = Math.max(high, value);
        level = value;
        continue;
      }
      flush();
      if (level !== null) points.push([here, level]);
      [x, low, high, level] = [here, Math.min(value, level ?? value), Math.max(value, level ?? value), value];
      if (rows[i][AT] > view.to) break;
    }
    flush();
    if (!points.length) return;
    pen.beginPath();
    points.forEach(([x, value], i) => i ? pen.lineTo(x, y(value)) : pen.moveTo(x, y(value)));
    if (style === "area") {
      pen.lineTo(points[points.length - 1][0], bottom);
      pen.lineTo(points[0][0], bottom);
      pen.fillStyle = colour.area;
      pen.fill();
      return;
    }
    pen.strokeStyle = colour[style];
    pen.lineWidth = column === CWND || column === SRTT || column === ACKED ? 1.8 : 1.2;
    pen.setLineDash(style === "other" ? [2, 3] : style === "again" ? [6, 3] : []);
    pen.stroke();
    pen.setLineDash([]);
    pen.lineWidth = 1;
  }

  // The names of the lines, each with its value at the cursor.
  caption(pen, panel, top, state, colour) {
    let x = LEFT + 4;
    const y = top + 6;
    pen.fillStyle = colour.fg;
    pen.textAlign = "right";
    pen.fillText(panel.title, LEFT - 6, y);
    pen.textAlign = "left";
    for (const { name, column, style, rows } of panel.lines) {
      if (!rows.length) continue;
      pen.strokeStyle = pen.fillStyle = style === "area" ? colour.area : colour[style];
      if (style === "area") {
        pen.fillRect(x, y - 4, 16, 8);
      } else {
        pen.setLineDash(style === "other" ? [2, 3] : style === "again" ? [6, 3] : []);
        pen.lineWidth = 2;
        line(pen, x, y, x + 16, y);
        pen.lineWidth = 1;
        pen.setLineDash([]);
      }
      const at = state.cursor === null ? -1 : upTo(rows, state.cursor);
      const value = at < 0 ? null : rows[at][column];
      const none = value === 0 && (column === SSTHRESH || column === SRTT);
      const text = value === null ? name : `${name} ${none ? "none" : panel.unit(value)}`;
      pen.fillStyle = colour.fg;
      pen.fillText(text, x + 21, y);
      x += 36 + pen.measureText(text).width;
    }
  }
}

// Powers of ten, at most five of them.
function powers(least, most) {
  const count = Math.round(Math.log10(most / least)), step = Math.ceil(count / 4), all = [];
  for (let k = 0; k <= count; k += step) all.push(least * 10 ** k);
  return all;
}

// The last row at or before a time, or -1.
function upTo(rows, time) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][AT] <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}
