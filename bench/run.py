#!/usr/bin/env python3
"""Side-by-side benchmark of HTTP CONNECT proxies that intercept TLS. See README.md."""
import argparse, json, os, shlex, shutil, socket, subprocess, sys, time, tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What an agent sends to a catalogued service: a 1 KiB GraphQL mutation with its credential.
TOKEN = "11111111-0000-4000-8000-000000000001"
GRAPHQL = ("--mode keepalive --host backboard.railway.com --path /graphql/v2 --method POST "
           "--header 'Content-Type: application/json' "
           f"--header 'Authorization: Bearer {TOKEN}' "
           f"--body-file {shlex.quote(str(HERE / 'requests/redeploy.json'))}")

# What an agent sends to its model; the answer is a stream. The other path is no conversation.
TALK = ("--mode keepalive --host model.bench --method POST --conns 8 "
        "--header 'Content-Type: application/json' "
        f"--body-file {shlex.quote(str(HERE / 'requests/talk.json'))}")

# name -> what `mitmbench load` runs
SCENARIOS = {
    "h1_c1": "--mode keepalive --conns 1",
    "h1_c32": "--mode keepalive --conns 32",
    "h1_c256": "--mode keepalive --conns 256",
    "h2_c1": "--mode keepalive --proto h2 --conns 1 --streams 1",
    "h2_s32": "--mode keepalive --proto h2 --conns 1 --streams 32",
    "h2_c8s32": "--mode keepalive --proto h2 --conns 8 --streams 32",
    "gql_c32": GRAPHQL + " --conns 32",
    "gql_s32": GRAPHQL + " --proto h2 --conns 1 --streams 32",
    "talk": TALK + " --path /v1/messages",
    "talk_unread": TALK + " --path /v1/complete",
    "talk_h2": TALK + " --path /v1/messages --proto h2",
    "talk_h2_unread": TALK + " --path /v1/complete --proto h2",
    "h1_100k": "--mode keepalive --conns 8 --path /100k",
    "newconn": "--mode newconn --conns 8",
    "newconn_c1": "--mode newconn --conns 1",
    "fresh": "--mode fresh",
    "dl_10m": "--mode bulk --conns 1 --path /10m",
    "ul_10m": "--mode bulk --conns 1 --path /upload --upload 10485760",
    "stream": "--mode stream",
}
OPTIONAL = {"h1_100k", "newconn_c1", "talk", "talk_unread", "talk_h2", "talk_h2_unread"}  # only when asked for by --scenarios
ONCE = {"stream"}                    # run in the first round only


def tree(pid):
    kids = {}
    for d in Path("/proc").iterdir():
        if d.name.isdigit():
            try:
                s = (d / "stat").read_text()
            except OSError:
                continue
            kids.setdefault(int(s[s.rfind(")") + 2:].split()[1]), []).append(int(d.name))
    out = [pid]
    for p in out:
        out += kids.get(p, [])
    return out


def port_open(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2):
            return True
    except OSError:
        return False


class Proc:
    """A process that we started; ends only itself and its own descendants, by pid."""

    def __init__(self, argv, cwd, env, log):
        self.log = open(log, "ab")
        self.t0 = time.monotonic()
        self.p = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                  stdout=self.log, stderr=self.log, start_new_session=True)

    def wait_port(self, port, limit):
        while time.monotonic() - self.t0 < limit:
            if port_open(port):
                return time.monotonic() - self.t0
            if self.p.poll() is not None:
                return None
            time.sleep(0.002)
        return None

    def alive(self):
        return self.p.poll() is None

    def stop(self):
        pids = tree(self.p.pid) if self.alive() else []
        if self.alive():
            self.p.terminate()
            try:
                self.p.wait(3)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        for pid in pids[1:]:
            # a child that outlived its parent: end it only if it is still in our own session
            try:
                s = Path(f"/proc/{pid}/stat").read_text()
                if int(s[s.rfind(")") + 2:].split()[3]) == self.p.pid:
                    os.kill(pid, 9)
            except OSError:
                pass
        self.log.close()


class Peer:
    def __init__(self, raw, work, certs, port):
        self.name, self.kind = raw["name"], raw.get("kind", "mitm")
        self.port = int(raw.get("port", port))
        self.raw, self.work = raw, work
        self.state = work / "state" / self.name
        self.subst = {"port": self.port, "port2": self.port + 500, "state": self.state,
                      "certs": certs, "work": work, "here": HERE, "token": TOKEN}
        self.only = raw.get("only")
        self.proc = None
        if self.kind != "direct":
            self.argv = shlex.split(self.fill(raw["cmd"]))
            self.found = shutil.which(self.argv[0])
        else:
            self.found = True
        self.ca = self.fill(raw["ca"])

    def fill(self, s):
        for k, v in self.subst.items():
            s = s.replace("{%s}" % k, str(v))
        return s

    def start(self, limit=30):
        if self.kind == "direct":
            return 0.0
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(parents=True)
        self.state.chmod(0o777)
        for name, src in self.raw.get("files", {}).items():
            (self.state / name).write_text(self.fill((HERE / "peers" / src).read_text()))
        for c in self.raw.get("init", []):
            subprocess.run(shlex.split(self.fill(c)), cwd=self.state, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env = dict(os.environ)
        for k in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            env.pop(k, None)
        env.update({k: self.fill(v) for k, v in self.raw.get("env", {}).items()})
        if port_open(self.port):
            raise RuntimeError(f"port {self.port} is already taken")
        self.proc = Proc(self.argv, self.state, env, self.work / "logs" / f"{self.name}.log")
        t = self.proc.wait_port(self.port, limit)
        if t is None:
            self.proc.stop()
            self.proc = None
        return t

    def stop(self):
        if self.proc:
            self.proc.stop()
            self.proc = None


class Bench:
    def __init__(self, a):
        self.a = a
        self.work = Path(a.work).resolve()
        self.certs = self.work / "certs"
        (self.work / "logs").mkdir(parents=True, exist_ok=True)
        self.tool = self.work / "bin" / "mitmbench"
        self.rows = []
        self.out = open(a.out, "a")

    def emit(self, **row):
        row["t"] = round(time.time(), 1)
        self.rows.append(row)
        self.out.write(json.dumps(row) + "\n")
        self.out.flush()

    def setup(self):
        if not self.tool.exists():
            subprocess.run(["cargo", "build", "--release", "--manifest-path",
                            str(HERE / "loadgen/Cargo.toml"),
                            "--target-dir", str(self.work / "target")], check=True)
            self.tool.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.work / "target/release/mitmbench", self.tool)
        if not (self.certs / "hosts").exists():
            subprocess.run([self.tool, "certs", "--out", self.certs, "--hosts", "500"], check=True)
        rsa = self.certs / "proxy-ca-rsa.pem"
        if not rsa.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90",
                            "-subj", "/CN=bench proxy CA RSA", "-keyout",
                            str(self.certs / "proxy-ca-rsa.key"), "-out", str(rsa)],
                           check=True, stderr=subprocess.DEVNULL)
        for f in self.certs.iterdir():
            f.chmod(0o644)          # test keys; squid reads them as another user
        known = {tuple(l.split()) for l in Path("/etc/hosts").read_text().splitlines()}
        if any(tuple(l.split()) not in known for l in (self.certs / "hosts").read_text().splitlines()):
            sys.exit(f"append {self.certs}/hosts to /etc/hosts first: "
                     f"cat {self.certs}/hosts >> /etc/hosts")

    def load(self, peer, what, extra=()):
        argv = [str(self.tool), "load", "--ca", peer.ca, "--origin-port", str(self.a.origin_port),
                "--origin-pid", str(self.origin.p.pid), *shlex.split(what), *map(str, extra)]
        if peer.kind != "direct":
            argv += ["--proxy", f"127.0.0.1:{peer.port}", "--pid", str(peer.proc.p.pid)]
        try:
            r = subprocess.run(argv, capture_output=True, text=True, timeout=self.a.limit)
            return json.loads(r.stdout) if r.stdout.strip() else {"failed": r.stderr[-300:]}
        except subprocess.TimeoutExpired:
            return {"failed": f"over {self.a.limit} s"}

    def run(self):
        a = self.a
        self.setup()
        self.origin = Proc([str(self.tool), "origin", "--certs", str(self.certs),
                            "--port", str(a.origin_port)], self.work, None,
                           self.work / "logs/origin.log")
        if self.origin.wait_port(a.origin_port, 10) is None:
            sys.exit("the origin did not start")
        conf = tomllib.loads(Path(a.peers).read_text())
        raw = [{"name": k, **v} for k, v in conf.get("line", {}).items()] + conf.get("peer", [])
        raw.insert(0, {"name": "direct", "kind": "direct", "ca": "{certs}/origin-ca.pem"})
        peers = [Peer(r, self.work, self.certs, a.base_port + i) for i, r in enumerate(raw)]
        if a.only:
            keep = set(a.only.split(",")) | {"direct"}
            peers = [p for p in peers if p.name in keep]
        for p in peers:
            if not p.found:
                print(f"left out, command not found: {p.name}", flush=True)
        peers = [p for p in peers if p.found]
        want = a.scenarios.split(",") if a.scenarios else [s for s in SCENARIOS if s not in OPTIONAL]
        todo = [s for s in SCENARIOS if s in want]
        extra = {"warm": a.warm, "secs": a.secs}
        try:
            self.measure(peers, todo, extra)
        finally:
            for p in peers:
                p.stop()
            self.origin.stop()

    def measure(self, peers, todo, extra):
        a = self.a
        # Start-up, also the check that a peer works at all.
        for p in list(peers):
            if p.kind == "direct":
                continue
            if p.only and "startup" not in p.only:
                if p.start() is None:
                    print(f"does not start: {p.name}"); peers.remove(p)
                continue
            for i in range(a.rounds):
                p.stop()
                t = p.start()
                if t is None:
                    break
                self.emit(peer=p.name, kind=p.kind, scenario="startup", round=i, secs=t)
            if t is None:
                print(f"does not start, see logs/{p.name}.log", flush=True)
                peers.remove(p)
                continue
            r = self.load(p, "--mode keepalive --conns 1", ["--warm", 0, "--secs", 0.2])
            if "failed" in r or not r.get("requests"):
                print(f"does not work: {p.name}: {r}", flush=True)
                p.stop(); peers.remove(p)
        for rnd in range(a.rounds):
            for s in todo:
                if s in ONCE and rnd:
                    continue
                for p in peers:
                    if p.only and s not in p.only:
                        continue
                    if p.proc and not p.proc.alive():
                        print(f"died: {p.name}; started again", flush=True)
                        p.start()
                    x = []
                    if s == "fresh":
                        lo = 101 + rnd % 9 * a.fresh
                        x = ["--from", lo, "--to", lo + a.fresh - 1]
                    elif s not in ONCE:
                        for k, v in extra.items():
                            x += [f"--{k}", v]
                    r = self.load(p, SCENARIOS[s], x)
                    self.emit(peer=p.name, kind=p.kind, scenario=s, round=rnd, **r)
                    short = r.get("failed") or (f"{r['rps']:.0f}/s p50 {r['lat_us']['p50']} us err {r['errors']}"
                                                if "rps" in r else "ok")
                    print(f"{rnd} {s:<10} {p.name:<18} {short}", flush=True)
        if a.idle:
            for p in peers:
                p.stop()
            for p in peers:
                if p.kind == "direct" or p.only:
                    continue
                if p.start() is None:
                    continue
                time.sleep(0.5)
                r = self.load(p, "--mode idle --conns 16", ["--steps", a.idle])
                self.emit(peer=p.name, kind=p.kind, scenario="idle", round=0, **r)
                print(f"idle {p.name:<18} " + (r.get("failed") or " ".join(
                    f"{x['conns']}:{x['rss_kib'] // 1024}MiB(live {x['live']})" for x in r["steps"])),
                    flush=True)
                p.stop()


def main():
    q = argparse.ArgumentParser()
    q.add_argument("--work", default=os.environ.get("BENCH_WORK", str(HERE / "work")))
    q.add_argument("--peers", default=str(HERE / "peers.toml"))
    q.add_argument("--out", default="results.jsonl")
    q.add_argument("--only", help="comma list of peers (direct always runs)")
    q.add_argument("--scenarios", help="comma list; default all but " + ",".join(sorted(OPTIONAL)) +
                   " of " + ",".join(SCENARIOS))
    q.add_argument("--rounds", type=int, default=3)
    q.add_argument("--secs", type=float, default=2.0)
    q.add_argument("--warm", type=float, default=0.5)
    q.add_argument("--fresh", type=int, default=40, help="new hosts per round")
    q.add_argument("--idle", default="1000,5000", help="steps of idle connections; empty: skip")
    q.add_argument("--limit", type=float, default=90, help="seconds one measurement may take")
    q.add_argument("--origin-port", type=int, default=443)
    q.add_argument("--base-port", type=int, default=18100)
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 65536), max(hard, 65536)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Bench(q.parse_args()).run()


if __name__ == "__main__":
    main()
