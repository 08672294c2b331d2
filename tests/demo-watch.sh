#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The production recorder, shown: a payments service under load, with redis behind it, fails one request in some two hundred, by a bug that
# needs a time, a random number and an answer of redis at once.  One capsule comes of it; everything is stopped; it fails again, offline.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin	# Debian's programs, as in tests/run
top=$(cd "$(dirname "$0")/.." && pwd)
case ${O:=build} in /*) ;; *) O=$top/$O ;; esac
RUNS=${RUNS:-20}
[ "$(id -u)" = 0 ] || { echo 'Recording needs root.' >&2; exit 77; }

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
D=$(mktemp -d "${TMPDIR:-/tmp}/capsule-demo.XXXXXX")
chmod 755 "$D"
PIDS=()
stop() { local p; for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || :; done; PIDS=(); }
trap 'stop; rm -rf "$D"' EXIT
cp "$O/capsule" "$D/capsule"
cd "$D"
port_of() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
up() { local i; for i in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; echo "nobody listens on $1" >&2; exit 1; }

redis=$(port_of)
redis-server --bind 127.0.0.1 --port "$redis" --save '' --appendonly no --dir "$D" >/dev/null &
PIDS+=($!)
up "$redis"
port=$(port_of)
cat >payments.py <<PY
import http.server, json, os, redis, time
class Payments(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = redis.Redis(host="127.0.0.1", port=$redis).incr("payments")
        now, nonce = time.time(), os.urandom(8)
        lucky = (int(now * 1000) + nonce[0] + number) % 200 == 0		# the bug
        body = json.dumps({"order": order["id"], "number": number, "at": now, "nonce": nonce.hex(), "error": "rounding" if lucky else None}).encode() + b"\n"
        self.send_response(500 if lucky else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", $port), Payments).serve_forever()
PY
/usr/bin/python3 payments.py &
PIDS+=($!)
up "$port"
cat >policy.yaml <<YAML
- name: payments-5xx
  select: {port: $port}
  scope: request
  when: {any: [{http.status: ">= 500"}]}
  then:
    capture: {level: payload, max_capsules: 1}
    redact: [{header: [authorization]}, {json: [\$.card]}]
    store: $D/store
YAML

say '1. A payments service runs. This is what is to be kept of it:'
./capsule policy check policy.yaml | head -n 1
./capsule watch --socket "$D/socket" policy.yaml 2>watch.log &
watch=$!
PIDS+=($watch)
until grep -q 'watching' watch.log; do sleep 0.1; done

say '2. Load, until a request fails:'
python3 - "$port" <<'PY'
import http.client, json, sys, threading, time
failed, lock, count = [], threading.Lock(), 0
def worker(k):
    global count
    while not failed and count < 20000:
        c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
        with lock:
            count += 1
            n = count
        c.request("POST", "/pay", json.dumps({"id": n, "card": "4111111111111111"}), {"Authorization": "Bearer abcdefsecret987"})
        r = c.getresponse()
        body = r.read()
        if r.status == 500:
            failed.append(body)
        c.close()
        time.sleep(0.02)
threads = [threading.Thread(target=worker, args=(k,)) for k in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(f"request failed, one of {count}: {failed[0].decode()}", end="")
PY
for _ in $(seq 300); do grep -q '\.cap: ' watch.log && break; sleep 0.1; done
grep '\.cap: ' watch.log

say '3. Everything is stopped, and the service is gone.'
stop
rm payments.py
cp store/*.cap failure.cap
chmod 644 failure.cap
python3 "$top/tests/frames.py" failure.cap 4111111111111111 abcdefsecret987 && echo 'No card number and no token is in the capsule.'

say "4. The capsule fails again, offline and as nobody, $RUNS times of $RUNS:"
(cd / && setpriv --reuid=nobody --regid=nogroup --clear-groups "$D/capsule" replay --runs "$RUNS" "$D/failure.cap")
check=0
(cd / && setpriv --reuid=nobody --regid=nogroup --clear-groups "$D/capsule" check "$D/failure.cap") || check=$?
[ "$check" = 1 ] || { echo "check says $check" >&2; exit 1; }
say 'Good for git bisect, a patch review, CI.'
