// The run as it lies in the page, and the arrows that follow from it. Nothing here draws.

const DATA = 1, ACK = 2, BUSY = 3, ABORT = 4;
const KINDS = ["DATA", "DATA again", "ACK", "ABORT, BUSY", "other"];
const AGAIN = 1, OTHER = 4;
const COPY = 1, DAMAGED = 2;
// Flags of an arrow.
const LOST = 1, COPIED = 2, BROKEN = 4, OPEN = 8;
const FLAGS = [[1, "CLIENT_INITIATED"], [2, "REQUEST_ACK"], [4, "LAST_PACKET"], [8, "MORE_PACKETS"], [32, "JUMBO"]];
const ACK_FLAGS = { 8: "EXTENDED_SACK", 32: "SLOW_START_OK" };
const BLOCK = 256;

// A row of the data with names instead of places.
class Packet {
  constructor(run, place) {
    const [id, at, [from, to], [source, target], call, length, header, detail, ends, seals] = run.data.packets[place];
    Object.assign(this, { place, id, at, from, to, call, length, detail, ends });
    this.source = run.names.addresses[source];
    this.target = run.names.addresses[target];
    this.seals = seals.map(seal => typeof seal === "string" ? [seal, null] : Object.entries(seal)[0]);
    if (header) {
      const [connection, seq, serial, type, flags, status, checksum] = header;
      const [epoch, cid, number, security, service] = run.names.connections[connection];
      this.header = { epoch, cid, number, security, service, seq, serial, type, flags, status, checksum };
    }
    this.type = this.header ? run.names.types[this.header.type] : "unreadable";
  }

  seal(name) {
    return this.seals.find(seal => seal[0] === name)?.[1];
  }

  flagNames() {
    const ack = this.header.type === ACK;
    return FLAGS.filter(([bit]) => this.header.flags & bit)
      .map(([bit, name]) => ack && ACK_FLAGS[bit] || name);
  }
}

class Run {
  constructor(data) {
    this.data = data;
    this.names = data.names;
    this.lanes = data.nodes.map(node => node.name);
    // Whoever is no node has a lane of its own, if there is such a one.
    if (data.packets.some(row => row[2][0] < 0)) this.lanes.push("attacker");
    this.arrows = new Arrows(data.packets, data.nodes.length);
    this.lost = this.arrows.count(LOST);
    this.begin = 0;
    this.end = Math.max(1, this.arrows.latest, ...data.notes.filter(note => note[1] !== null).map(note => note[0]),
      ...data.violations.map(violation => violation[0]));
    this.callsBegin = data.calls.reduce((begin, call) => Math.min(begin, call.begin), this.end);
    if (!data.calls.length) this.callsBegin = 0;
    this.callsEnd = data.calls.reduce((end, call) => Math.max(end, call.end), 0) || this.end;
  }

  packet(place) {
    return new Packet(this, place);
  }

  // Place of the packet with a number.
  find(id) {
    const rows = this.data.packets;
    let low = 0, high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle][0] < id) low = middle + 1; else high = middle;
    }
    return low < rows.length && rows[low][0] === id ? low : -1;
  }

  // The packet of a connection with a serial that went from one node to another, before a time.
  bySerial(packet, serial) {
    const { epoch, cid } = packet.header;
    for (let place = packet.place - 1; place >= 0; place--) {
      const row = this.data.packets[place];
      if (!row[6] || row[2][0] !== packet.to || row[2][1] !== packet.from) continue;
      const [e, c] = this.names.connections[row[6][0]];
      const span = row[6][3] === DATA && Array.isArray(row[7]) ? row[7].length : 1;
      if (e === epoch && c >>> 2 === cid >>> 2 && serial >= row[6][2] && serial < row[6][2] + span) return row[0];
    }
    return null;
  }

  // What kind of packet it is, for colour and filter.
  static kind(row) {
    const type = row[6] ? row[6][3] : 0;
    if (type === DATA) return Array.isArray(row[7]) && row[7].some(segment => segment[5] === 1) ? AGAIN : 0;
    if (type === ACK) return 2;
    return type === ABORT || type === BUSY ? 3 : OTHER;
  }

  // A packet in a few words.
  static short(run, place) {
    const row = run.data.packets[place], header = row[6];
    if (!header) return "unreadable";
    const name = run.names.types[header[3]];
    if (header[3] === DATA && Array.isArray(row[7])) {
      const last = header[4] & 4 ? " last" : "";
      const count = row[7].length;
      return `DATA ${header[1]}${count > 1 ? "-" + row[7][count - 1][0] : ""}${last}`;
    }
    if (header[3] === ACK && Array.isArray(row[7])) {
      return `ACK ${row[7][1][0]}${row[7][3] ? "+" + row[7][3].length : ""} ${run.names.reasons[row[7][0]]}`;
    }
    if (header[3] === ABORT && Array.isArray(row[7])) return `ABORT ${row[7][0]}`;
    return name;
  }
}

// One arrow for each copy of each packet, in the order of sending, as columns.
class Arrows {
  constructor(rows, nodes) {
    const total = rows.reduce((sum, row) => sum + Math.max(1, row[8].length), 0);
    this.length = total;
    this.start = new Float64Array(total);
    this.stop = new Float64Array(total);
    // Where it is drawn to: a packet that was lost at once leans as if it had been on its way for a while.
    this.tip = new Float64Array(total);
    this.from = new Uint8Array(total);
    this.to = new Int16Array(total);
    this.kind = new Uint8Array(total);
    this.flags = new Uint8Array(total);
    this.packet = new Int32Array(total);
    this.shown = new Uint8Array(total).fill(1);
    this.latest = 0;
    let i = 0;
    const delays = Arrows.delays(rows);
    rows.forEach((row, place) => {
      const kind = Run.kind(row);
      const ends = row[8].length ? row[8] : [null];
      for (const end of ends) {
        this.start[i] = row[1];
        this.stop[i] = end ? end[0] : row[1];
        this.from[i] = row[2][0] < 0 ? nodes : row[2][0];
        this.to[i] = row[2][1];
        this.kind[i] = kind;
        this.flags[i] = end
          ? (end[1] >= 0 ? LOST : 0) | (end[2] & COPY ? COPIED : 0) | (end[2] & DAMAGED ? BROKEN : 0)
          : OPEN;
        this.packet[i] = place;
        const part = this.flags[i] & LOST ? 0.62 : this.flags[i] & OPEN ? 0.3 : 0;
        this.tip[i] = Math.max(this.stop[i], row[1] + part * (delays.get(row[2].join()) ?? 0));
        this.latest = Math.max(this.latest, this.stop[i]);
        i++;
      }
    });
    this.blocks = new Float64Array(Math.ceil(total / BLOCK));
    for (let k = 0; k < total; k++) {
      this.blocks[k >> 8] = Math.max(this.blocks[k >> 8], this.tip[k]);
    }
  }

  // The shortest time from each node to each other.
  static delays(rows) {
    const delays = new Map();
    for (const [, at, way, , , , , , ends] of rows) {
      for (const [stop, loss] of ends) {
        if (loss < 0) delays.set(way.join(), Math.min(delays.get(way.join()) ?? Infinity, stop - at));
      }
    }
    return delays;
  }

  count(flag) {
    return this.flags.reduce((sum, flags) => sum + (flags & flag ? 1 : 0), 0);
  }

  // First arrow that starts at or after a time.
  after(time) {
    let low = 0, high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.start[middle] < time) low = middle + 1; else high = middle;
    }
    return low;
  }

  // Calls `visit` for each shown arrow that a part of the time sees.
  each(from, to, visit) {
    const end = this.after(to + 1e-3);
    for (let block = 0; block * BLOCK < end; block++) {
      if (this.blocks[block] < from) continue;
      const stop = Math.min(end, (block + 1) * BLOCK);
      for (let i = block * BLOCK; i < stop; i++) {
        if (this.shown[i] && this.tip[i] >= from) visit(i);
      }
    }
  }

  // Show what a filter lets through.
  filter(run, { call, kinds, unusual }) {
    for (let i = 0; i < this.length; i++) {
      const of = run.data.packets[this.packet[i]][4];
      this.shown[i] = (call < 0 || of === call) && kinds[this.kind[i]] && (!unusual || this.flags[i] & 7) ? 1 : 0;
    }
  }

  // The next or previous shown arrow of another packet.
  step(from, by) {
    const packet = from < 0 || from >= this.length ? -1 : this.packet[from];
    for (let i = from + by; i >= 0 && i < this.length; i += by) {
      if (this.shown[i] && this.packet[i] !== packet) return i;
    }
    return -1;
  }

  // The first arrow of a packet.
  of(place) {
    return this.packet.indexOf(place);
  }
}
