# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The production recorder, whole: services in podman containers, with redis and PostgreSQL behind them, under load; one request in a few
# hundred fails by a bug that depends on time, on randomness and on what the others say.

# shellcheck source=tests/e2e/containers.sh
. "$top/tests/e2e/containers.sh"
# shellcheck source=tests/e2e/watch.sh
. "$top/tests/e2e/watch.sh"

# ---- what is behind it ---------------------------------------------------------------

# On the host's end of the container's network.
start_behind() {
	needs redis-server redis-cli
	start redis.log redis-server --bind 10.88.0.1 --port 6379 --requirepass sesame --save '' --appendonly no --dir "$T" --daemonize no --protected-mode no
	wait_for redis-cli -h 10.88.0.1 -a sesame ping
	local bin
	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$bin" ] || skip "postgresql is not installed"
	mkdir "$T/pg" && chown postgres "$T/pg"
	(cd "$T/pg" && as_user postgres "$bin/initdb" -D "$T/pg/data" -A trust -N -E UTF8 --locale=C >"$T/initdb.log" 2>&1) || fail "initdb: $(tail -n 3 "$T/initdb.log")"
	echo 'host all all 10.88.0.0/24 trust' >>"$T/pg/data/pg_hba.conf"
	start postgres.log setpriv --reuid=postgres --regid=postgres --clear-groups "$bin/postgres" -D "$T/pg/data" -k "$T/pg" \
		-c listen_addresses=10.88.0.1 -c fsync=off -c max_connections=50 -c shared_buffers=8MB
	wait_for "$bin/pg_isready" -q -h "$T/pg"
	"$bin/psql" -q -h "$T/pg" -U postgres -c 'CREATE TABLE payments(id serial PRIMARY KEY, "order" int, number int)' >/dev/null
}

# ---- services --------------------------------------------------------------------------

# What $1 imports, and the libraries for it, into $2.
python_with() {
	local f
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -I -c "if True:
		import os, sys, $1, encodings.utf_8, encodings.ascii, encodings.idna, encodings.latin_1
		print(os.path.realpath(sys.executable))
		for m in list(sys.modules.values()):
		    if getattr(m, '__file__', None): print(m.__file__)" | sort -u >"$T/python.files"
	while read -r f; do
		echo "$f"
		ldd "$f" 2>/dev/null | grep -o '/[^ )]*' || :
	done <"$T/python.files" | sort -u | while read -r f; do install -D -m "$(stat -Lc %a "$f")" "$f" "$2$f"; done
	ln -s "$(basename "$(grep -m 1 /bin/ "$T/python.files")")" "$2/usr/bin/python3"
}

# payments.py; $1 is the bug's line.
python_service() {
	cat <<-PY
		import http.server, json, os, redis, psycopg2.pool, sys, time
		sys.dont_write_bytecode = True
		cache = redis.Redis(host="10.88.0.1", port=6379, password="sesame")
		class Payments(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def do_POST(self):
		        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
		        number = cache.incr("payments")
		        now, nonce = time.time(), os.urandom(8)
		        lucky = (int(now * 1000) + nonce[0] + number) % 200 == 0
		        $1
		        body = json.dumps({"order": order["id"], "number": number, "at": now, "nonce": nonce.hex(), "error": "rounding" if lucky else None}).encode() + b"\n"
		        self.send_response(500 if lucky else 200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    def log_message(self, *a):
		        pass
		http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Payments).serve_forever()
	PY
}

# python_image NAME [FIX]
python_image() {
	local dir=$T/context
	if [ ! -d "$dir" ]; then
		mkdir -p "$dir/python" "$dir/service/srv"
		python_with 'http.server, json, redis, psycopg2.pool' "$dir/python"
		printf '%s\n' 'FROM scratch' 'COPY python /' 'COPY service /' 'ENV PYTHONDONTWRITEBYTECODE=1' 'WORKDIR /srv' 'CMD ["/usr/bin/python3", "/srv/payments.py"]' >"$dir/Dockerfile"
	fi
	python_service "${2:-}" >"$dir/service/srv/payments.py"
	build_image "$dir" "$1"
}

# About 200 requests a second for at most $1 s, until one fails and $2 more were made.
production_load() {
	python3 - "$1" <<-'PY'
		import http.client, json, sys, threading, time
		failed, lock, count, end = [], threading.Lock(), 0, time.time() + float(sys.argv[1])
		def worker(k):
		    global count
		    while time.time() < end and not failed:
		        begun = time.time()
		        c = http.client.HTTPConnection("10.88.0.2", 8080, timeout=30, source_address=("10.88.0.1", 0))
		        with lock:
		            count += 1
		            n = count
		        c.request("POST", "/pay", json.dumps({"id": n, "card": "4111111111111111"}), {"Authorization": "Bearer abcdefsecret987"})
		        r = c.getresponse()
		        body = r.read()
		        c.close()
		        if r.status == 500:
		            failed.append(body)
		        time.sleep(max(0, 0.02 - (time.time() - begun)))
		threads = [threading.Thread(target=worker, args=(k,)) for k in range(4)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		print(f"{count} requests; {failed}")
		sys.exit(not failed)
	PY
}

case_production_python() {
	needs_containers
	needs redis-server python3
	container_network
	start_behind
	python_image pay:1
	pod save -q --format docker-archive -o "$T/one.tar" pay:1 >/dev/null
	python_image pay:2 'lucky = False'
	pod save -q --format docker-archive -o "$T/two.tar" pay:2 >/dev/null
	policy fives 'container: pay*, port: 8080' request '{any: [{http.status: ">= 500"}]}' 'max_capsules: 1' 'redact: [{header: [authorization]}, {json: [$.card]}]'
	"$CAPSULE" watch --socket "$T/socket" "$T/policy.yaml" 2>"$T/watch.log" &
	WATCH=$!
	pod run -d --name pay --network "$NETWORK" "${LIMITS[@]}" localhost/pay:1 >/dev/null 2>"$T/run.err" || fail "podman run: $(cat "$T/run.err")"
	wait_long grep -q 'watching container pay' "$T/watch.log"
	production_load 30 >"$T/load" || fail "no failure, or another: $(cat "$T/load")"
	wait_long has_capsules 1
	stop_watch
	the_capsule pay
	"$CAPSULE" show "$T/pay.cap" >"$T/shown"
	pod kill pay >/dev/null && pod rm -f pay >/dev/null
	pod_gone
	unset CONTAINERS_STORAGE_CONF
	chmod a+r "$T"/*.tar
	mkdir "$T/images" && mv "$T/one.tar" "$T/images"
	replay_once pay --image "docker-archive:$T/images/one.tar"
	fail "$(cat "$T/load" "$T/watch.log") $REPLAY_STATUS $(why_not pay)"
}
