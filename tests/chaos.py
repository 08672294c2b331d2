#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chaos.py CAPSULE DIR SECONDS [SEED]: capsule watch over services under load, while everything goes wrong for it.

The recorder is killed, stopped until its (small) ring overflows, ended, its disk filled, its policies changed and spoilt; a service is
started anew.  In the end: no request has failed, every capsule opens and those that say they are whole have the whole request in them, the
audit log is unbroken, no process has a changed vDSO or another thread, and of the recorders nothing is left, in the kernel neither.
As root, in a mount namespace of its own (unshare -m): DIR/store becomes a tmpfs of 2 MiB.
"""
import hashlib, http.client, json, os, random, re, shutil, signal, socket, subprocess, sys, threading, time

CAPSULE, DIR, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
SEED = int(sys.argv[4]) if len(sys.argv) > 4 and sys.argv[4] else int(time.time())
chance = random.Random(SEED)
STORE, POLICY, SOCKET = f"{DIR}/store", f"{DIR}/policy.yaml", f"{DIR}/socket"
SERVICE = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"%f %s\\n" % (time.time(), os.urandom(200).hex().encode())
        self.send_response(500 if self.path.startswith("/fail") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
counts = {}
problems = []


def did(what):
    counts[what] = counts.get(what, 0) + 1


def wrong(text):
    problems.append(text)
    print("WRONG:", text, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- services and their load ---------------------------------------------------------


def state_of(pid):
    """What must be as it was: the vDSO's code, threads, open files."""
    vdso = ""
    for line in open(f"/proc/{pid}/maps"):
        if line.endswith("[vdso]\n"):
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            with open(f"/proc/{pid}/mem", "rb") as mem:
                mem.seek(start)
                vdso = hashlib.sha256(mem.read(end - start)).hexdigest()
    tracer = [l for l in open(f"/proc/{pid}/status") if l.startswith(("TracerPid", "State:\tT"))]
    return vdso, sorted(os.listdir(f"/proc/{pid}/task")), tracer


def listens(port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens on {port}")


def start_service(port):
    p = subprocess.Popen(["/usr/bin/python3", f"{DIR}/service.py", str(port)], stdin=subprocess.DEVNULL)
    listens(port)
    return p


def start_nginx(port):
    os.mkdir(f"{DIR}/nginx")
    temps = "".join(f"{k}_temp_path {DIR}/nginx/{k}; " for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{DIR}/nginx.conf", "w") as f:
        f.write(f"""daemon off; pid {DIR}/nginx/pid; error_log {DIR}/nginx/error.log; worker_processes 2; events {{ worker_connections 64; }}
http {{ access_log off; default_type text/plain; {temps}
server {{ listen 127.0.0.1:{port}; location /fail {{ return 503 "$msec $request_id\\n"; }} location / {{ return 200 "$msec $request_id\\n"; }} }} }}
""")
    p = subprocess.Popen(["nginx", "-p", f"{DIR}/nginx", "-c", f"{DIR}/nginx.conf"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listens(port)
    return p


def get(c, path, bad):
    c.request("GET", path)
    r = c.getresponse()
    r.read()
    did("requests")
    want = bad if path.startswith("/fail") else 200
    if r.status != want:
        wrong(f"{path}: {r.status}, not {want}")


def load(port, bad, until, again=None):
    """Requests, some on kept connections; with @again the service is started anew now and then, between two of them."""
    mine = random.Random(port)
    n = 0
    try:
        while time.time() < until:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for _ in range(mine.randrange(1, 20)):
                n += 1
                get(c, f"/{'fail' if mine.random() < 0.25 else 'good'}/{n}", bad)
                time.sleep(0.002)
            c.close()
            if again and mine.random() < 0.02:
                again()
    except Exception as e:
        wrong(f"a request to port {port} failed: {e!r}")


# ---- the recorder, and what befalls it ----------------------------------------------------


class Recorder:
    def __init__(self, ports):
        self.ports, self.p, self.progs, self.log = ports, None, set(), open(f"{DIR}/watch.log", "a+")
        self.write(1000)

    def write(self, per_hour, bad=""):
        with open(POLICY + ".new", "w") as f:
            f.write("- host: {max_capsules: 5000, per_hour: 5000}\n")
            for i, port in enumerate(self.ports):
                f.write(f"- name: fives-{i}\n  select: {{port: {port}}}\n  scope: request\n  when: {{any: [{{http.status: '>= 500'}}]}}\n  then:\n"
                        f"    history: {{bytes: 1MiB, seconds: 20}}\n"
                        f"    capture: {{level: payload, cool_down: 0s, max_capsules: 1000, per_hour: {per_hour}, max_bytes: 256KiB}}\n    store: {STORE}\n{bad}")
        os.rename(POLICY + ".new", POLICY)

    def start(self):
        self.p = subprocess.Popen([CAPSULE, "watch", "--ring", "64K", "--socket", SOCKET, POLICY], stdin=subprocess.DEVNULL, stderr=self.log)
        did("starts")
        while self.alive() and "SigBlk:\t0000000000000000" in open(f"/proc/{self.p.pid}/status").read():
            time.sleep(0.02)    # until then a signal is anybody's

    def alive(self):
        return self.p and self.p.poll() is None

    def programs(self):
        """Numbers of the BPF programs that its descriptors hold."""
        try:
            for fd in os.listdir(f"/proc/{self.p.pid}/fdinfo"):
                for line in open(f"/proc/{self.p.pid}/fdinfo/{fd}"):
                    if line.startswith("prog_id:"):
                        self.progs.add(int(line.split()[1]))
        except OSError:
            pass

    def mishap(self):
        what = chance.choice(["kill", "kill all", "stop", "stop", "full disk", "policy", "broken policy", "end"])
        did(what)
        self.programs()
        if what == "kill":
            self.p.kill()
        elif what == "kill all":    # the guard, too: nobody mends anything until the next one comes
            for pid in ours():
                os.kill(pid, signal.SIGKILL)
        elif what == "stop":
            self.p.send_signal(signal.SIGSTOP)
            time.sleep(chance.random())
            self.p.send_signal(signal.SIGCONT)
        elif what == "full disk":
            with open(f"{STORE}/filler", "wb", buffering=0) as f:
                try:
                    while f.write(bytes(4096)):
                        pass
                except OSError:
                    pass
            time.sleep(chance.random())
            os.unlink(f"{STORE}/filler")
        elif what == "policy":
            self.write(chance.randrange(20, 2000))
            self.p.send_signal(signal.SIGHUP)
        elif what == "broken policy":
            self.write(1000, "nonsense\n")
            self.p.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            self.write(1000)
        elif what == "end":
            self.p.terminate()
        if what in ("kill", "kill all", "end"):
            status = self.p.wait()
            if status not in (0, -9) and not (what == "end" and status == -15):
                wrong(f"the recorder ended with {status} ({what})")

    def keep_up(self):
        if not self.alive():
            if self.p and self.p.returncode not in (0, -9, -15):
                self.log.seek(0)
                wrong(f"the recorder ended with {self.p.returncode}: {self.log.read()[-600:]}")
            self.thin()
            self.start()
            time.sleep(0.5)

    def thin(self):
        """The store is small: what was made is looked at and moved away."""
        for name in os.listdir(STORE):
            if name.endswith(".cap") and not name.startswith("."):
                shutil.move(f"{STORE}/{name}", f"{DIR}/made/{name}")


def ours():
    """Processes of recorders: their command line names our policies."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline").read().split("\0")
        except OSError:
            continue
        if words[0] == CAPSULE and POLICY in words:
            found.append(int(pid))
    return found


# ---- what must hold ------------------------------------------------------------------------


def programs():
    """Numbers of all BPF programs in the kernel."""
    r = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    return {p["id"] for p in json.loads(r.stdout)}


def look_at(path):
    """Does it open, is it whole, and does it say what it has not?"""
    r = subprocess.run([CAPSULE, "show", "--json", "--events", path], capture_output=True, text=True, errors="replace")
    if r.returncode != 0:
        return wrong(f"{path} does not open: {r.stderr}")
    lines = [json.loads(l) for l in r.stdout.splitlines()]
    end = next((l for l in lines if l.get("kind") == "end"), None)
    holes = [l for l in lines if l.get("kind") == "hole"]
    if not end:
        return wrong(f"{path} is cut short: {r.stdout[-300:]}")
    did("capsules with a hole" if holes else "capsules without a hole")
    text = subprocess.run([CAPSULE, "show", "--events", path], capture_output=True, text=True, errors="replace").stdout
    if not holes and not (re.search(r"GET /fail/\d+ HTTP/1.1", text) and re.search(r"HTTP/1.1 50[03]", text)):
        wrong(f"{path} says it has no hole, and has not all of the request: {text[:1500]}")


def main():
    print(f"seed {SEED}", flush=True)
    os.makedirs(f"{DIR}/made")
    os.mkdir(STORE)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "store", STORE], check=True)
    with open(f"{DIR}/service.py", "w") as f:
        f.write(SERVICE)
    ports = [free_port() for _ in range(3)]
    services = [start_nginx(ports[0]), start_service(ports[1]), start_service(ports[2])]

    def again():
        did("services started anew")
        services[2].terminate()
        services[2].wait()
        services[2] = start_service(ports[2])

    recorder = Recorder(ports)
    try:
        trial(recorder, services, ports, again)
    finally:
        for s in [*services, *filter(None, [recorder.p])]:
            s.terminate()
            s.wait()
        subprocess.run(["umount", STORE])
    print(", ".join(f"{k}: {v}" for k, v in sorted(counts.items())), flush=True)
    sys.exit(1 if problems else 0)


def trial(recorder, services, ports, again):
    workers = [int(p) for p in open(f"/proc/{services[0].pid}/task/{services[0].pid}/children").read().split()]
    steady = [services[0].pid, *workers, services[1].pid]
    before = {pid: state_of(pid) for pid in steady}
    recorder.start()
    until = time.time() + SECONDS
    threads = [threading.Thread(target=load, args=a) for a in ((ports[0], 503, until), (ports[1], 500, until), (ports[2], 500, until, again))]
    [t.start() for t in threads]
    while time.time() < until:
        time.sleep(chance.uniform(0.3, 2))
        recorder.keep_up()
        recorder.mishap()
    [t.join() for t in threads]
    recorder.keep_up()
    for port, bad in zip(ports, (503, 500, 500)):   # after all that, it records yet
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        time.sleep(1)
        get(c, "/fail/0", bad)
        c.close()
    time.sleep(1.5)
    recorder.programs()
    recorder.p.terminate()
    if recorder.p.wait() != 0:
        wrong(f"the recorder ended with {recorder.p.returncode}")
    recorder.thin()

    for _ in range(50):
        if not ours():
            break
        time.sleep(0.1)
    if ours():
        wrong(f"processes of recorders are left: {ours()}")
    subprocess.run([CAPSULE, "show", "/nonexistent"], capture_output=True)  # whatever root runs next mends
    for pid in steady:
        after = state_of(pid)
        if after[0] != before[pid][0]:
            wrong(f"process {pid} has another vDSO")
        if pid != services[1].pid and after[1] != before[pid][1]:
            wrong(f"process {pid} has other threads: {before[pid][1]} {after[1]}")
        if after[2] != before[pid][2]:
            wrong(f"process {pid}: {after[2]}")
    if state_of(services[2].pid)[0] != before[services[1].pid][0]:
        wrong("the service that was started last has another vDSO")
    if not recorder.progs:
        wrong("no BPF program was ever seen")
    for _ in range(100):    # the kernel frees them when all processors have been idle once
        left = recorder.progs & programs()
        if not left:
            break
        time.sleep(0.1)
    if left:
        wrong(f"BPF programs are there yet: {left}")
    r = subprocess.run([CAPSULE, "audit", f"{STORE}/audit.log"], capture_output=True, text=True)
    if r.returncode != 0:
        wrong(f"the audit log: {r.stdout}{r.stderr}")
    made = sorted(os.listdir(f"{DIR}/made"))
    for name in made:
        look_at(f"{DIR}/made/{name}")
    if not made:
        wrong("there is not one capsule")


main()
