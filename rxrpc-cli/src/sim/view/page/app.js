// What the page does: filters, zoom, keys, selection, and when it draws.

class App {
  constructor(run) {
    this.run = run;
    this.view = new View(run.begin, run.end);
    this.state = { selected: -1, cursor: null, timers: false };
    this.filters = { call: -1, kinds: KINDS.map(() => true), unusual: false };
    this.byId = id => document.getElementById(id);
    this.diagram = new Diagram(this.byId("diagram"), run);
    this.overview = new Overview(this.byId("overview"), run);
    this.plots = new Plots(this.byId("plots"), run);
    this.details = new Details(this.byId("details"), run, place => this.select(place, true));
    this.calls = new CallTable(this.byId("calls"), this.byId("more"), run, place => this.chooseCall(place));
    this.pending = false;
  }

  start() {
    const hash = new URLSearchParams(location.hash.slice(1));
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = hash.get("theme") ?? (dark ? "dark" : "light");
    this.head();
    this.tools();
    this.legend();
    this.pointer();
    this.keys();
    eventTable(this.byId("events"), this.run, at => this.go(at));
    this.view.show(this.run.callsBegin, this.run.callsEnd);
    if (hash.has("timers")) this.byId("timers").checked = this.state.timers = true;
    this.chooseCall(Number(hash.get("call") ?? 0) - 1, true);
    if (hash.has("packet")) this.select(this.run.find(Number(hash.get("packet"))), !hash.has("from"));
    else this.details.show(-1);
    if (hash.has("from")) this.view.set(Number(hash.get("from")), Number(hash.get("to")));
    this.draw();
    window.addEventListener("resize", () => this.later());
    this.report("packets", this.run.data.packets.length);
    this.report("arrows", this.run.arrows.length);
    this.report("lost", this.run.lost);
    this.report("copies", this.run.arrows.count(COPIED));
    this.report("damaged", this.run.arrows.count(BROKEN));
  }

  // Numbers for whoever tests the page.
  report(name, value) {
    document.body.dataset[name] = String(value);
  }

  head() {
    const data = this.run.data, bad = data.violations.length;
    this.byId("about").textContent = data.about;
    const verdict = this.byId("verdict");
    verdict.textContent = bad ? `${bad} violation${bad > 1 ? "s" : ""}` : "no violations";
    verdict.classList.add(bad ? "bad" : "good");
    const facts = [["seed", data.seed], ["nodes", data.nodes.length],
      ["packets", `${data.packets.length}, ${this.run.lost} lost`]];
    const end = data.end;
    if (end) {
      facts.push(["calls", `${end.calls}, ${end.succeeded} with success`], ["virtual time", duration(end.at)],
        ["events", end.events], ["trace", end.trace]);
    }
    this.byId("facts").replaceChildren(...facts.map(([name, value]) =>
      element("div", {}, element("dt", { text: name }), element("dd", { text: String(value) }))));
    const list = this.byId("violations");
    list.hidden = !bad;
    list.replaceChildren(...data.violations.map(([at, node, oracle, text]) => element("li", {},
      element("button", {
        text: `${oracle}: ${text} (${node === null ? "" : this.run.lanes[node] + ", "}${instant(at)})`,
        click: () => this.go(at),
      }))));
  }

  tools() {
    const call = this.byId("call");
    call.append(new Option("all", "-1"));
    this.run.data.calls.forEach((c, i) => call.append(new Option(
      `${i + 1}: ${this.run.lanes[c.client_node] ?? c.client} \u2192 ${this.run.lanes[c.server_node] ?? c.server}, `
        + `${c.request[0]} + ${c.reply[0]} bytes, ${c.ending}`, String(i))));
    call.addEventListener("change", () => this.chooseCall(Number(call.value)));
    KINDS.forEach((name, i) => {
      const box = element("input");
      box.type = "checkbox";
      box.checked = true;
      box.addEventListener("change", () => {
        this.filters.kinds[i] = box.checked;
        this.filter();
      });
      this.byId("kinds").append(element("label", {}, box, document.createTextNode(" " + name)));
    });
    const box = (id, change) => this.byId(id).addEventListener("change", event => change(event.target.checked));
    box("unusual", on => {
      this.filters.unusual = on;
      this.filter();
    });
    box("timers", on => {
      this.state.timers = on;
      this.later();
    });
    const series = this.byId("series");
    this.run.data.series.forEach((side, i) => {
      const name = side.call === null ? "a call without packets" : `call ${side.call + 1}`;
      series.append(new Option(`${name}, ${side.client ? "client" : "server"} ${this.run.lanes[side.node]}`, String(i)));
    });
    series.addEventListener("change", () => {
      this.plots.choose(Number(series.value));
      this.later();
    });
    const press = (id, action) => this.byId(id).addEventListener("click", action);
    press("in", () => this.zoom(0.5));
    press("out", () => this.zoom(2));
    press("fit", () => this.fit());
    press("all", () => this.whole());
    press("next", () => this.step(1));
    press("previous", () => this.step(-1));
    press("theme", () => {
      const root = document.documentElement.dataset;
      root.theme = root.theme === "dark" ? "light" : "dark";
      this.legend();
      this.later();
    });
  }

  legend() {
    const colour = colours();
    const sign = draw => {
      const canvas = element("canvas");
      canvas.style.cssText = "width:34px;height:14px;border:0;background:none";
      canvas.width = 68;
      canvas.height = 28;
      const pen = canvas.getContext("2d");
      pen.scale(2, 2);
      draw(pen);
      return canvas;
    };
    const arrow = style => sign(pen => this.diagram.group(pen, style, [[2, 7, 28, 7]], colour, true));
    const entries = KINDS.map((name, i) => [name, i]);
    entries.push(["lost", LOST << 4], ["copy", COPIED << 4], ["damaged", BROKEN << 4]);
    this.byId("legend").replaceChildren(...entries.map(([text, style]) =>
      element("span", {}, arrow(style), document.createTextNode(text))));
  }

  chooseCall(place, quiet) {
    const call = this.run.data.calls[place] ? place : -1;
    this.filters.call = call;
    this.byId("call").value = String(call);
    this.calls.show(call);
    const sides = this.run.data.series.map((side, i) => [side, i]).filter(([side]) => call < 0 || side.call === call);
    const sent = ([side]) => side.rows.length ? side.rows[side.rows.length - 1][SENT] : 0;
    const most = sides.reduce((best, side) => !best || sent(side) > sent(best) ? side : best, null);
    if (most) {
      this.byId("series").value = String(most[1]);
      this.plots.choose(most[1]);
    }
    if (call >= 0) this.view.show(this.run.data.calls[call].begin, this.run.data.calls[call].end);
    if (quiet) this.run.arrows.filter(this.run, this.filters);
    else this.filter();
  }

  filter() {
    this.run.arrows.filter(this.run, this.filters);
    this.later();
  }

  // Show a packet, and go there if it is not in sight.
  select(place, go) {
    this.state.selected = place;
    this.details.show(place);
    this.report("selected", place < 0 ? "" : this.run.data.packets[place][0]);
    if (place >= 0) {
      const row = this.run.data.packets[place], last = row[8].reduce((end, [at]) => Math.max(end, at), row[1]);
      if (go) this.bring(row[1], last);
      this.state.cursor = row[1];
      const hash = new URLSearchParams(location.hash.slice(1));
      hash.set("packet", row[0]);
      history.replaceState(null, "", "#" + hash);
    }
    this.later();
  }

  // Have both instants in sight, at a scale that shows one arrow from the other.
  bring(from, to) {
    const flight = Math.max(to - from, 1000);
    if (this.view.span > flight * 60) {
      this.view.set((from + to) / 2 - flight * 6, (from + to) / 2 + flight * 6);
    } else if (from < this.view.from || to > this.view.to) {
      this.view.move((from + to) / 2 - (this.view.from + this.view.to) / 2);
    }
  }

  go(at) {
    this.state.cursor = at;
    if (at < this.view.from || at > this.view.to) this.view.move(at - (this.view.from + this.view.to) / 2);
    this.later();
  }

  step(by) {
    const arrows = this.run.arrows;
    const from = this.state.selected >= 0 ? arrows.of(this.state.selected)
      : by > 0 ? arrows.after(this.view.from) - 1 : arrows.after(this.view.to);
    const next = arrows.step(from, by);
    if (next >= 0) this.select(arrows.packet[next], true);
  }

  zoom(factor, at = (this.view.from + this.view.to) / 2) {
    this.view.zoom(factor, at);
    this.later();
  }

  fit() {
    const call = this.run.data.calls[this.filters.call];
    this.view.show(call?.begin ?? this.run.callsBegin, call?.end ?? this.run.callsEnd);
    this.later();
  }

  whole() {
    this.view.show(this.run.begin, this.run.end);
    this.later();
  }

  pointer() {
    const diagram = this.byId("diagram"), plots = this.byId("plots"), overview = this.byId("overview");
    for (const canvas of [diagram, plots]) {
      let held = null;
      const time = event => this.view.time(event.offsetX, canvas.clientWidth);
      canvas.addEventListener("wheel", event => {
        event.preventDefault();
        const sideways = event.shiftKey ? event.deltaY : event.deltaX;
        if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
          this.view.move(sideways / canvas.clientWidth * this.view.span);
          this.later();
        } else {
          this.zoom(Math.exp(Math.max(-240, Math.min(240, event.deltaY)) / 400), time(event));
        }
      }, { passive: false });
      canvas.addEventListener("pointerdown", event => {
        held = { x: event.offsetX, from: this.view.from, moved: false };
        canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", event => {
        if (held) {
          const by = event.offsetX - held.x;
          held.moved ||= Math.abs(by) > 3;
          if (held.moved) {
            const to = held.from - by / (canvas.clientWidth - LEFT - RIGHT) * this.view.span;
            this.view.move(to - this.view.from);
            diagram.classList.add("moving");
          }
        }
        this.state.cursor = time(event);
        this.later();
      });
      canvas.addEventListener("pointerup", event => {
        if (held && !held.moved && canvas === diagram) {
          this.select(this.diagram.hit(event.offsetX, event.offsetY, this.view, this.state.selected), false);
        }
        held = null;
        diagram.classList.remove("moving");
      });
      canvas.addEventListener("pointercancel", () => { held = null; });
      canvas.addEventListener("dblclick", event => this.zoom(0.4, time(event)));
    }
    const part = event => {
      if (!event.buttons) return;
      const at = this.overview.view.time(event.offsetX, overview.clientWidth);
      this.view.move(at - (this.view.from + this.view.to) / 2);
      this.later();
    };
    overview.addEventListener("pointerdown", part);
    overview.addEventListener("pointermove", part);
    overview.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY / 400));
    }, { passive: false });
  }

  keys() {
    const quarter = () => this.view.span / 4;
    const actions = {
      ArrowLeft: () => this.view.move(-quarter()), ArrowRight: () => this.view.move(quarter()),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.fit(),
      9: () => this.whole(), n: () => this.step(1), p: () => this.step(-1),
      Escape: () => this.select(-1, false),
    };
    document.addEventListener("keydown", event => {
      const typing = event.target.closest("select, input");
      const action = actions[event.key];
      if (!action || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      action();
      this.later();
    });
  }

  // Draw with the next frame, however often asked.
  later() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  draw() {
    const { drawn, took } = this.diagram.draw(this.view, this.state);
    this.overview.draw(this.view);
    this.plots.draw(this.view, this.state);
    this.report("drawn", drawn);
    this.report("drawMs", took.toFixed(1));
  }
}

new App(new Run(JSON.parse(document.getElementById("run").textContent))).start();
