// The chosen packet in words, and the tables. Text goes in as text, never as markup.

function element(name, { text, kind, title, click } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  if (title) made.title = title;
  if (click) made.addEventListener("click", click);
  made.append(...children);
  return made;
}

const hex = (number, digits) => (number >>> 0).toString(16).padStart(digits, "0");

function fieldTable(fields) {
  const rows = fields.map(([name, value]) =>
    element("tr", {}, element("th", { text: name }), element("td", { text: String(value) })));
  return element("table", { kind: "fields" }, ...rows);
}

function rowTable(head, rows) {
  const cell = (name, values) => element("tr", {}, ...values.map((value, i) =>
    element(name, { text: String(value ?? ""), kind: typeof value === "number" || i === 0 ? "number" : "" })));
  return element("table", {}, cell("th", head), ...rows.map(row => cell("td", row)));
}

class Details {
  constructor(place, run, select) {
    Object.assign(this, { place, run, select });
  }

  show(chosen) {
    if (chosen < 0) {
      this.place.replaceChildren(element("p", { kind: "quiet", text: "Click an arrow to see its packet." }));
      return;
    }
    const packet = this.run.packet(chosen);
    const parts = [
      element("h2", { text: `#${packet.id} ${Run.short(this.run, chosen)}` }),
      element("p", { kind: "quiet", text: `${packet.source} \u2192 ${packet.target}, ${packet.length} octets` }),
      ...this.fate(packet),
      ...this.header(packet),
      ...this.body(packet),
    ];
    this.place.replaceChildren(...parts);
  }

  name(node) {
    return this.run.lanes[node < 0 ? this.run.data.nodes.length : node] ?? "nobody";
  }

  fate(packet) {
    const after = time => duration(time - packet.at);
    const lines = [[`sent by ${this.name(packet.from)} at ${instant(packet.at)}`]];
    for (const [name, value] of packet.seals) {
      if (name === "late") lines.push(["held back by a socket that was blocked"]);
      if (name === "copied") lines.push([`a copy was made after ${after(value)}`]);
      if (name === "damaged") lines.push([`damaged after ${after(value[0])}: ${value[1] || "as it was"}`, "lost"]);
      if (name === "malformed") lines.push([`malformed, ${value[0]}: ${value[1]}`, "lost"]);
      if (name === "rtt") lines.push([`completes a round trip of ${duration(value)}`]);
    }
    for (const [time, loss, flags, source] of packet.ends) {
      const what = (flags & COPY ? "a copy " : "") + (flags & DAMAGED ? "damaged, " : "");
      const from = this.run.names.addresses[source] === packet.source ? ""
        : ` as from ${this.run.names.addresses[source]}`;
      lines.push(loss < 0 ? [`${what}reached ${this.name(packet.to)} after ${after(time)}${from}`]
        : [`${what}lost after ${after(time)}: ${this.run.data.losses[loss]}`, "lost"]);
    }
    if (!packet.ends.length) lines.push(["on its way when the run ended"]);
    return lines.map(([text, kind]) => element("p", { text, kind }));
  }

  header(packet) {
    const h = packet.header;
    if (!h) return [element("p", { kind: "lost", text: "no complete header" })];
    const fields = [
      ["type", `${packet.type} (${h.type})`], ["epoch", "0x" + hex(h.epoch, 8)],
      ["cid", `0x${hex(h.cid, 8)}, channel ${h.cid & 3}`], ["call number", h.number], ["seq", h.seq],
      ["serial", h.serial], ["user status", h.status], ["security index", h.security],
      ["checksum", "0x" + hex(h.checksum, 4)], ["service", h.service],
    ];
    if (packet.call >= 0) fields.unshift(["call", `${packet.call + 1} (${this.run.data.calls[packet.call].id})`]);
    const flags = packet.flagNames().map(text => element("span", { text }));
    const none = element("span", { text: "none" });
    return [
      element("h3", { text: "Header" }), fieldTable(fields),
      element("p", { kind: "flags" }, document.createTextNode(`flags 0x${hex(h.flags, 2)} `), ...flags,
        ...(flags.length ? [] : [none])),
    ];
  }

  body(packet) {
    const detail = packet.detail;
    if (detail === null || !packet.header) return [];
    if (packet.header.type === DATA) return this.segments(detail);
    if (packet.header.type === ACK && Array.isArray(detail)) return this.ack(packet, detail);
    if (Array.isArray(detail)) {
      return [element("h3", { text: "Abort" }), fieldTable([["code", detail[0]], ["name", detail[1] ?? "unknown"]])];
    }
    return [element("h3", { text: "Body" }), fieldTable(Object.entries(detail).map(([name, value]) =>
      [name.replaceAll("_", " "), typeof value === "object" ? JSON.stringify(value) : value]))];
  }

  segments(detail) {
    const marks = ["", "sent again", "a copy"];
    const rows = detail.map(([seq, serial, flags, checksum, length, mark]) =>
      [seq, serial, length, FLAGS.filter(([bit]) => flags & bit).map(([, name]) => name).join(" "), marks[mark]]);
    const operation = detail[0]?.[6];
    const parts = [element("h3", { text: rows.length > 1 ? `${rows.length} segments` : "Segment" }),
      rowTable(["seq", "serial", "octets", "flags", ""], rows)];
    if (operation !== null && operation !== undefined) {
      parts.push(element("p", { kind: "quiet", text: `first four octets of the request: ${operation}` }));
    }
    return parts;
  }

  ack(packet, [reason, [first, previous, serial], [space, skew, declared], table, words]) {
    const fields = [["reason", `${this.run.names.reasons[reason]} (${reason})`], ["first", first],
      ["previous", previous], ["serial", serial], ["buffer space", space], ["max skew", skew], ["entries", declared]];
    const names = ["largest datagram", "largest packet", "window", "jumbo limit"];
    words.forEach((word, i) => fields.push([names[i] ?? `word ${i + 1}`, word]));
    const parts = [element("h3", { text: "ACK" }), fieldTable(fields)];
    const answered = serial ? this.run.bySerial(packet, serial) : null;
    if (answered !== null) {
      const click = () => this.select(this.run.find(answered));
      parts.push(element("button", { text: `serial ${serial} is packet #${answered}`, click }));
    }
    parts.push(element("h3", { text: table ? `${table.length} soft ACKs, from ${first}` : "no soft ACKs" }));
    if (table) parts.push(this.table(first, table));
    return parts;
  }

  // The table as cells, sixteen a row, holes marked.
  table(first, table) {
    const cells = [];
    [...table].forEach((entry, i) => {
      if (i % 16 === 0) cells.push(element("span", { kind: "row", text: first + i }));
      const got = entry === "1", title = `${first + i} ${got ? "received" : "missing"}`;
      cells.push(element("span", { kind: got ? "got" : "hole", text: got ? "\u2713" : "\u2717", title }));
    });
    return element("div", { kind: "sacks" }, ...cells);
  }
}

// The table of the calls. A click chooses one.
class CallTable {
  constructor(table, more, run, choose) {
    Object.assign(this, { table, more, run, choose, limit: 100 });
    more.addEventListener("click", () => {
      this.limit = Infinity;
      this.show(this.chosen);
    });
  }

  outcomes(place) {
    const sides = this.run.data.series.filter(side => side.call === place);
    const of = client => sides.find(side => side.client === client)?.outcome ?? "-";
    return [of(true), of(false)];
  }

  show(chosen) {
    this.chosen = chosen;
    const head = ["", "id", "client", "server", "service", "begin", "duration", "request", "packets", "again", "reply",
      "packets", "again", "client's outcome", "server's outcome", "on the wire"];
    const number = new Set([0, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const row = (name, values, options) => element("tr", options, ...values.map((text, i) =>
      element(name, { text: String(text), kind: number.has(i) ? "number" : i === 1 ? "mono" : "" })));
    const calls = this.run.data.calls;
    const rows = calls.slice(0, this.limit).map((call, i) => row("td", [
      i + 1, call.id, this.run.lanes[call.client_node] ?? call.client, this.run.lanes[call.server_node] ?? call.server,
      call.service, instant(call.begin), duration(call.end - call.begin), ...call.request.slice(0, 3),
      ...call.reply.slice(0, 3), ...this.outcomes(i), call.ending,
    ], { kind: i === chosen ? "chosen" : "", click: () => this.choose(i === this.chosen ? -1 : i) }));
    this.table.replaceChildren(element("thead", {}, row("th", head, {})), element("tbody", {}, ...rows));
    this.more.hidden = calls.length <= this.limit;
    this.more.textContent = `show all ${calls.length} calls`;
  }
}

// Actions, phases, errors and violations. A click goes there.
function eventTable(table, run, go) {
  const data = run.data, rows = [
    ...data.notes.map(([at, node, text]) => [at, node, text, ""]),
    ...data.errors.map(([at, node, about, error]) => [at, node, `told about ${about}: ${error}`, ""]),
    ...data.violations.map(([at, node, oracle, text]) => [at, node, `${oracle}: ${text}`, "lost"]),
  ].sort((a, b) => a[0] - b[0]);
  const body = rows.map(([at, node, text, kind]) => element("tr", { click: () => go(at) },
    element("td", { kind: "number", text: instant(at) }), element("td", { text: run.lanes[node] ?? "" }),
    element("td", { text, kind })));
  table.replaceChildren(element("tbody", {}, ...body));
}
