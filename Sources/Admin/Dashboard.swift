/// The page at `/`: one file, no outside script. It polls `/api/v1/status` and shows what `baton status` says.
enum Dashboard {
    static let page = #"""
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Baton</title>
        <style>
        :root { --ink: #1b1f24; --soft: #667080; --line: #dfe3e8; --page: #f6f7f9; --card: #fff;
                --good: #1a7f4b; --warn: #a66300; --bad: #c0262d; }
        @media (prefers-color-scheme: dark) {
          :root { --ink: #e6e9ee; --soft: #96a0b0; --line: #2b323c; --page: #12161b; --card: #1a2027;
                  --good: #4ec98a; --warn: #e5a84b; --bad: #ff7b7f; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
        main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
        header { display: flex; align-items: baseline; gap: 16px; flex-wrap: wrap; }
        h1 { font-size: 20px; margin: 0; } h2 { font-size: 13px; margin: 0 0 8px; color: var(--soft); font-weight: 600; }
        .verdict { font-weight: 600; } .right { margin-left: auto; color: var(--soft); font-variant-numeric: tabular-nums; }
        section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin-top: 16px; }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(120px, 1fr)); gap: 12px; }
        .figures b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums; }
        .figures span, .soft { color: var(--soft); font-size: 13px; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
        th { text-align: left; color: var(--soft); font-weight: 500; font-size: 13px; }
        th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
        tr:last-child td { border-bottom: 0; } .n { text-align: right; }
        .good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
        dl { display: grid; grid-template-columns: 64px 1fr; gap: 2px 8px; margin: 4px 0 16px; } dt { color: var(--soft); }
        dd { margin: 0; overflow-wrap: anywhere; } code { font: 13px ui-monospace, monospace; }
        form { display: none; gap: 8px; flex-wrap: wrap; } input { flex: 1; min-width: 200px; }
        input, button { font: inherit; padding: 6px 10px; border: 1px solid var(--line); border-radius: 6px;
                        background: var(--page); color: inherit; }
        </style>
        <main>
        <header><h1>Baton</h1><span class="verdict" id="verdict" role="status">asking …</span><span class="right" id="time"></span></header>
        <section id="login" hidden><h2>This node wants the token of admin.tokenFile</h2>
        <form id="form" style="display:flex"><input id="token" type="password" autocomplete="current-password" aria-label="token">
        <button>Show</button></form></section>
        <div id="page" hidden>
        <section><h2>Problems</h2><div id="problems"></div></section>
        <section><h2>Nodes</h2><div class="scroll"><table id="nodes"></table></div></section>
        <section><h2>Queue</h2><div class="figures" id="queue"></div><p class="soft" id="oldest"></p></section>
        <section><h2>Last 5 minutes</h2><div class="figures" id="recent"></div></section>
        <section><h2>Upstreams</h2><div class="scroll"><table id="upstreams"></table></div></section>
        <section><h2>Leases and copies</h2><div class="scroll"><table id="leases"></table></div>
        <div class="soft" id="takeovers"></div></section>
        </div>
        </main>
        <script>
        "use strict";
        const $ = id => document.getElementById(id);
        const make = (tag, text, name) => { const e = document.createElement(tag);
          if (text !== undefined) e.textContent = text; if (name) e.className = name; return e; };
        const count = n => n.toLocaleString("en");
        const percent = x => x === undefined || x === null ? "-" : (100 * x).toFixed(x && x < 0.1 ? 1 : 0) + " %";
        const whole = n => n === undefined || n === null ? "-" : count(Math.round(n));
        const span = s => s === undefined || s === null ? "-" : s < 1 ? Math.round(s * 1000) + " ms" : s < 60 ? s.toFixed(1) + " s"
          : s < 3600 ? Math.floor(s / 60) + "m " + Math.floor(s % 60) + "s" : s < 86400 ? Math.floor(s / 3600) + "h "
          + Math.floor(s % 3600 / 60) + "m" : Math.floor(s / 86400) + "d " + Math.floor(s % 86400 / 3600) + "h";
        const size = b => { const u = ["B", "KiB", "MiB", "GiB", "TiB"]; let i = 0;
          while (b >= 1024 && i < 4) { b /= 1024; i++; } return (b < 10 && i ? b.toFixed(1) : Math.round(b)) + " " + u[i]; };
        function figures(id, list) { $(id).replaceChildren(...list.map(([name, value]) => {
          const e = make("div"); e.append(make("b", value), make("span", name)); return e; })); }
        function table(id, head, rows) {
          const cell = (tag, c) => make(tag, c.text ?? c, [c.n ? "n" : "", c.tone ?? ""].join(" ").trim());
          const line = (tag, cells) => { const r = make("tr"); r.append(...cells.map(c => cell(tag, c))); return r; };
          $(id).replaceChildren(line("th", head), ...rows.map(r => line("td", r))); }
        const right = text => ({ text, n: true });
        function show(s) {
          const tone = s.verdict === "healthy" ? (s.warnings ? "warn" : "good") : s.verdict === "degraded" ? "bad" : "warn";
          $("verdict").textContent = s.summary; $("verdict").className = "verdict " + tone;
          $("time").textContent = s.time.slice(11, 19) + "Z from " + s.from;
          document.title = (tone === "good" ? "" : "! ") + "Baton " + s.from;
          const q = s.queue;
          figures("queue", [["messages", count(q.messages)], ["size", size(q.bytes)], ["due", count(q.due)],
            ["sending", count(q.sending)], ["waiting to retry", count(q.retrying)],
            ["waiting for upstream", count(q.waitingForUpstream)], ["held", count(q.held)], ["uncertain", count(q.uncertain)]]);
          $("oldest").textContent = q.oldest ? "oldest " + span(q.oldest.ageSeconds) + ": " + q.oldest.id + ", " + q.oldest.tries
            + " tries, " + q.oldest.to + (q.oldest.lastReply ? ": " + q.oldest.lastReply : "") : "";
          const r = s.recent5m;
          figures("recent", [["accepted", count(r.accepted)], ["delivered", count(r.delivered)], ["deferred", count(r.deferred)],
            ["bounced", count(r.bounced)], ["uncertain", count(r.uncertain)]]);
          table("upstreams", ["name", "state", right("share"), right("wanted"), right("out/s"), right("connections"),
            right("4xx"), right("5xx"), right("p50"), "last failure"], s.upstreams.map(u => [u.name,
            { text: u.state, tone: u.state === "up" ? "good" : u.state === "down" ? "bad" : "warn" }, right(percent(u.share)),
            right(percent(u.wantedShare)), right(count(Math.round(u.sentPerSecond))), right(u.connections + "/" + u.maximumConnections),
            right(percent(u.transientShare)), right(percent(u.permanentShare)), right(span(u.medianSeconds)), u.failure ?? ""]));
          const alone = s.nodes.length === 1;
          table("nodes", ["node", "state", "version", right("up"), right("in/s"), right("out/s"), right("owns"), right("copy lag"),
            right("sync p99"), right("disk free"), right("clients"), "seen by"], s.nodes.map(n => [n.name,
            { text: n.state === "down" ? "DOWN " + span(n.silentSeconds) : n.state,
              tone: n.state === "serving" ? "good" : n.state === "down" ? "bad" : "warn" }, n.version ?? "-", right(span(n.upSeconds)),
            right(whole(n.acceptedPerSecond)), right(whole(n.sentPerSecond)), right(count(n.journals)),
            right(n.copyLagBytes === undefined ? "-" : size(n.copyLagBytes)), right(span(n.syncP99Seconds)),
            right(n.diskTotalBytes ? percent(n.diskFreeBytes / n.diskTotalBytes) : "-"), right(whole(n.clientConnections)),
            alone ? "-" : n.seenBy.join(" ") || "nobody"]));
          table("leases", ["journal", right("epoch"), "owner", "state", right("lease"), right("size"), right("messages"), "copies"],
            s.journals.map(j => [j.id.slice(-4), right(count(j.epoch)),
            { text: j.owner ?? "nobody", tone: j.owner ? "" : "bad" }, j.state, right(span(j.leaseSeconds)), right(size(j.bytes)),
            right(count(j.unfinished)), j.copies.map(c => c.node + (c.lost ? " lost" : c.alive ? "" : " down")
              + (c.lagBytes ? " " + size(c.lagBytes) + " behind" : "")).join(" · ")]));
          $("takeovers").textContent = s.takeovers.map(t => t.time.slice(11, 19) + "Z " + t.journal.slice(-4) + "/" + t.epoch + " from "
            + t.from + " to " + t.to + ": " + count(t.messages) + " messages, " + count(t.uncertain) + " uncertain").join(" · ");
          $("problems").replaceChildren(...(s.problems.length ? s.problems.map(p => { const e = make("div");
            e.append(make("b", p.name, p.severity === "degraded" ? "bad" : "warn"), make("span", "  " + p.summary));
            const d = make("dl"); for (const [k, v] of [["it says", p.says], ["effect", p.effect], ["baton", p.baton], ["you", p.you]])
              if (v) d.append(make("dt", k), make("dd", v)); e.append(d); return e; }) : [make("span", "none", "soft")]));
          $("page").hidden = false; $("login").hidden = true;
        }
        let token = sessionStorage.getItem("token") ?? "";
        async function poll() {
          try {
            const answer = await fetch("api/v1/status", { headers: token ? { Authorization: "Bearer " + token } : {} });
            if (answer.status === 401) { $("login").hidden = false; $("page").hidden = true;
              $("verdict").textContent = token ? "that token is not right" : ""; return; }
            if (!answer.ok) throw new Error("status " + answer.status);
            show(await answer.json());
          } catch (error) {
            $("verdict").textContent = "no answer from this node (" + error.message + ")"; $("verdict").className = "verdict bad";
          }
        }
        $("form").addEventListener("submit", event => { event.preventDefault(); token = $("token").value.trim();
          sessionStorage.setItem("token", token); poll(); });
        setInterval(() => { if (!document.hidden) poll(); }, 2000);
        poll();
        </script>
        </html>

        """#
}
