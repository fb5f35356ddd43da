#!/usr/bin/env python3
"""Tables from run.py's results: medians over the rounds, and each peer's ratio to direct
(the median of the per-round ratios, so that both sides of a ratio ran within the same round)."""
import json, sys
from statistics import median

rows = [json.loads(l) for f in sys.argv[1:] for l in open(f)]
peers = list(dict.fromkeys(r["peer"] for r in rows if r["peer"] != "direct"))
peers = ["direct"] + peers
kind = {r["peer"]: r["kind"] for r in rows}


def get(r, path):
    for k in path.split("."):
        r = r.get(k) if isinstance(r, dict) else None
    return r


def cells(scen, peer):
    return {r["round"]: r for r in rows if r["scenario"] == scen and r["peer"] == peer}


def med(scen, peer, path):
    v = [get(r, path) for r in cells(scen, peer).values()]
    v = [x for x in v if isinstance(x, (int, float)) and not isinstance(x, bool)]
    return median(v) if v else None


def spread(scen, peer, path):
    v = [get(r, path) for r in cells(scen, peer).values()]
    v = [x for x in v if isinstance(x, (int, float))]
    return (min(v), max(v)) if v else None


def ratio(scen, peer, path):
    d, p = cells(scen, "direct"), cells(scen, peer)
    v = [get(p[k], path) / get(d[k], path) for k in p
         if k in d and get(d[k], path) and isinstance(get(p[k], path), (int, float))]
    return median(v) if v else None


def n(x, digits=0):
    if x is None:
        return "-"
    if abs(x) >= 100 or digits == 0:
        return f"{x:,.0f}"
    return f"{x:.{digits}f}"


def failed(scen, peer):
    return next((r["failed"] for r in cells(scen, peer).values() if r.get("failed")), None)


def table(title, head, lines):
    print(f"\n### {title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for l in lines:
        print("| " + " | ".join(str(x) for x in l) + " |")


def ms(us, d=2):
    return "-" if us is None else n(us / 1000, d)


def loads(scen, title):
    out = []
    for p in peers:
        if not cells(scen, p):
            continue
        if med(scen, p, "rps") is None:
            f = failed(scen, p) or ""
            no = "no h2" if "h2" in f or "NoApplicationProtocol" in f else f"failed: {f[:50]}"
            out.append([p, kind[p], no] + ["-"] * 7)
            continue
        s = spread(scen, p, "rps")
        err = sum(r.get("errors", 0) for r in cells(scen, p).values())
        out.append([p, kind[p], n(med(scen, p, "rps")), f"{n(s[0])}-{n(s[1])}",
                    n(ratio(scen, p, "rps"), 3), ms(med(scen, p, "lat_us.p50")),
                    ms(med(scen, p, "lat_us.p99")), n(med(scen, p, "proxy_cpu_us_per_req")),
                    n(med(scen, p, "proxy_cores"), 2), err])
    if out:
        table(title, ["peer", "kind", "req/s", "min-max", "ratio to direct", "p50 ms", "p99 ms",
                      "proxy CPU us/req", "cores", "errors"], out)


for scen, title in [
    ("h1_c1", "(a) keep-alive HTTP/1.1, 1 KiB GET, 1 connection"),
    ("h1_c32", "(a) keep-alive HTTP/1.1, 1 KiB GET, 32 connections"),
    ("h1_c256", "(a) keep-alive HTTP/1.1, 1 KiB GET, 256 connections"),
    ("h1_100k", "keep-alive HTTP/1.1, 100 KiB GET, 8 connections"),
    ("h2_c1", "(b) HTTP/2, 1 KiB GET, 1 connection, 1 stream"),
    ("h2_s32", "(b) HTTP/2, 1 KiB GET, 1 connection, 32 streams"),
    ("h2_c8s32", "(b) HTTP/2, 1 KiB GET, 8 connections of 32 streams"),
    ("gql_c32", "(h) keep-alive HTTP/1.1, 1 KiB GraphQL POST with a credential, 32 connections"),
    ("gql_s32", "(h) HTTP/2, 1 KiB GraphQL POST with a credential, 1 connection, 32 streams"),
    ("talk", "a conversation: 256 KiB streamed by a model, 8 connections"),
    ("talk_unread", "the same bytes from a path that is no conversation"),
    ("talk_h2", "a conversation over HTTP/2"),
    ("talk_h2_unread", "the same bytes over HTTP/2 from a path that is no conversation"),
    ("newconn", "(c) new TLS connection per request, same host, 8 at a time"),
    ("newconn_c1", "(c) new TLS connection per request, same host, 1 at a time"),
]:
    loads(scen, title)

out = []
for p in peers:
    if cells("fresh", p):
        c, w = med("fresh", p, "cold.lat_us.p50"), med("fresh", p, "warm.lat_us.p50")
        cc, wc = (med("fresh", p, f"{x}.proxy_cpu_us_per_host") for x in ("cold", "warm"))
        out.append([p, kind[p], ms(c), ms(med("fresh", p, "cold.lat_us.p99")), ms(w),
                    ms(c - w) if None not in (c, w) else "-", n(ratio("fresh", p, "cold.lat_us.p50"), 2),
                    ms(cc), ms(wc),
                    sum(get(r, "cold.errors") or 0 for r in cells("fresh", p).values())])
if out:
    table("(d) first request to a new host (cold), then a new connection to the same host (warm); one at a time",
          ["peer", "kind", "cold p50 ms", "cold p99 ms", "warm p50 ms", "cold - warm ms",
           "cold latency / direct", "proxy CPU cold ms", "proxy CPU warm ms", "errors"], out)

for scen, title in [("dl_10m", "(e) 10 MiB download, 1 connection"), ("ul_10m", "(e) 10 MiB upload, 1 connection")]:
    out = []
    for p in peers:
        if cells(scen, p):
            s = spread(scen, p, "mib_s")
            cpu = med(scen, p, "proxy_cpu_us_per_req")
            out.append([p, kind[p], n(med(scen, p, "mib_s")), f"{n(s[0])}-{n(s[1])}" if s else "-",
                        n(ratio(scen, p, "mib_s"), 3), ms(med(scen, p, "ttfb_us.p50")),
                        ms(cpu / 10) if cpu else "-", failed(scen, p) or ""])
    if out:
        table(title, ["peer", "kind", "MiB/s", "min-max", "ratio to direct", "first byte p50 ms",
                      "proxy CPU ms/MiB", "failure"], out)

out = []
for p in peers:
    for r in cells("stream", p).values():
        yes = lambda b: "-" if b is None else "yes" if b else "NO, buffers"
        out.append([p, kind[p], yes(r.get("down_streams")), n(r.get("down_first_ms"), 1),
                    yes(r.get("up_streams")), n(r.get("up_span_ms"), 1), (r.get("failed") or "")[:60]])
if out:
    table("(e) streaming: 5 events 200 ms apart downward; upward a 500 ms pause inside the body",
          ["peer", "kind", "streams down", "first event ms", "streams up",
           "body span seen by origin ms", "failure"], out)

out = []
for p in peers:
    for r in cells("idle", p).values():
        st = r.get("steps", [])
        if not st:
            out.append([p, kind[p], "-", "-", "-", "-", "-", r.get("failed", "")[:60]])
            continue
        f = lambda i: f"{st[i]['rss_kib'] / 1024:.0f} ({st[i]['live']} live)" if len(st) > i else "-"
        last = [s for s in st if s["conns"]] or [{}]
        out.append([p, kind[p], n(st[0]["rss_kib"] / 1024, 1), f(1), f(2),
                    n(last[-1].get("pss_kib_per_conn"), 1),
                    n(r["after_close"]["rss_kib"] / 1024, 1),
                    "; ".join(dict.fromkeys(s["error"] for s in last if s.get("error")))[:60]])
if out:
    table("(f) resident memory, all processes of the peer",
          ["peer", "kind", "idle MiB", "1st step MiB", "2nd step MiB", "KiB per connection (PSS)",
           "after close MiB", "error"], out)

out = [[p, kind[p], ms((med("startup", p, "secs") or 0) * 1e6, 1),
        "-".join(n(x * 1000, 1) for x in spread("startup", p, "secs"))]
       for p in peers if cells("startup", p)]
if out:
    table("(g) start to accepting connections", ["peer", "kind", "ms", "min-max"], out)
