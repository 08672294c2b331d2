# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# capsule watch: programs that run already are followed, and what a policy waits for becomes a capsule that shows the failure again.

# ---- a service, its policy, its recorder -------------------------------------------------

# start_service [SERVER CLASS]: threads; /fail answers 500, /slow takes 6 s, /crash ends the process, /refused asks who is not there.
start_service() {
	PORT=$(free_port)
	cat >"$T/service.py" <<-'PY'
		import http.server, os, socket, sys, time, uuid
		class Handler(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def answer(self, said=b""):
		        if self.path.startswith("/slow"):
		            time.sleep(6)
		        if self.path.startswith("/crash"):
		            os.abort()
		        if self.path.startswith("/refused"):
		            try:
		                socket.create_connection(("127.0.0.1", 1), 1 if "async" in self.path else None)
		            except OSError:
		                pass
		        body = ("%s %.6f %s %s %s\n" % (self.path, time.time(), os.urandom(8).hex(), uuid.uuid4(), said.decode())).encode()
		        self.send_response(500 if self.path.startswith("/fail") else 200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    def do_GET(self):
		        self.answer()
		    def do_POST(self):
		        if self.headers.get("Transfer-Encoding") != "chunked":
		            return self.answer(self.rfile.read(int(self.headers["Content-Length"])))
		        said = b""
		        while n := int(self.rfile.readline(), 16):
		            said += self.rfile.read(n)
		            self.rfile.readline()
		        self.rfile.readline()
		        self.answer(said)
		    def log_message(self, *a):
		        pass
		getattr(http.server, sys.argv[2])(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
	PY
	start service.log /usr/bin/python3 "$T/service.py" "$PORT" "${1:-ThreadingHTTPServer}"
	SERVICE=${SERVERS[-1]}
	wait_for listens 127.0.0.1 "$PORT"
}

# policy NAME SELECT SCOPE WHEN [CAPTURE [LINE]...]: one more in $T/policy.yaml, each LINE of its "then".
policy() {
	local line
	cat >>"$T/policy.yaml" <<-YAML
		- name: $1
		  select: {$2}
		  scope: $3
		  when: $4
		  then:
		    capture: {level: payload, cool_down: 0s, per_hour: 100${5:+, $5}}
		    store: $T/store
	YAML
	for line in "${@:6}"; do echo "    $line" >>"$T/policy.yaml"; done
}

# As wait_for, for a minute: capsules are written beside everything else, at low priority.
wait_long() {
	for _ in $(seq 600); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	fail "waited in vain for: $* -- $(cat "$T/watch.log")"
}

start_watch() {	# [OPTION]...
	needs_recording
	"$CAPSULE" watch --socket "$T/socket" "$@" "$T/policy.yaml" 2>"$T/watch.log" &
	WATCH=$!
	wait_long grep -q 'watching' "$T/watch.log"
}

stop_watch() {
	kill -TERM "$WATCH"
	local status=0
	wait "$WATCH" || status=$?
	[ "$status" = 0 ] || fail "watch ended with $status: $(cat "$T/watch.log")"
}

capsules() { find "$T/store" -name "${1:-*}.cap" ! -name '.*' 2>/dev/null | sort; }
has_capsules() { [ "$(capsules | wc -l)" -ge "$1" ]; }

# the_capsule NAME: there is exactly one, private; it becomes $T/NAME.cap.
the_capsule() {
	local all
	all=$(capsules)
	[ "$(grep -c . <<<"$all")" = 1 ] || fail "not one capsule but: $all -- $(cat "$T/watch.log")"
	[ "$(stat -c '%a %u' "$all")" = '600 0' ] || fail "its mode and owner: $(stat -c '%a %u' "$all")"
	cp "$all" "$T/$1.cap"
	chmod 644 "$T/$1.cap"
	echo 0 >"$T/$1.status"
}

# shows_again NAME: the answers come again, and check sees the failure.
shows_again() {
	answers_again "$1" 1
	expect_status 1 as_stranger "$CAPSULE" check "$T/$1.cap"
}

get() { curl -sS --max-time 30 "http://127.0.0.1:$PORT$1"; }

# load N [PATH]: N requests, each on a connection of its own, four at a time.
load() {
	python3 - "$PORT" "$1" "${2:-/good}" <<-'PY' || fail "a request failed"
		import http.client, sys
		from concurrent.futures import ThreadPoolExecutor
		def one(i):
		    c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
		    c.request("GET", f"{sys.argv[3]}{i}")
		    r = c.getresponse()
		    r.read()
		    c.close()
		    assert r.status == (500 if sys.argv[3] == "/fail" else 200)
		list(ThreadPoolExecutor(4).map(one, range(1, int(sys.argv[2]) + 1)))
	PY
}

# ---- one request -------------------------------------------------------------------------------

# Among many: its own reading of clocks and random numbers, none of the others'.
case_watch_request() {
	start_service
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	state_of "$SERVICE" >"$T/before"
	start_watch
	# What it may do by now is follow programs, and no more: CAP_KILL, DAC_OVERRIDE, SYS_PTRACE, PERFMON, BPF.
	[ "$(sed -n 's/^Cap\(Eff\|Bnd\):.*\([0-9a-f]\{10\}\)$/\2/p' "/proc/$WATCH/status" | uniq)" = c000080022 ] || fail "$(grep ^Cap "/proc/$WATCH/status")"
	load 50
	get /fail/this >"$T/answer" &
	load 50
	wait_long has_capsules 1
	load 20
	stop_watch
	state_of "$SERVICE" >"$T/after"
	same_bytes "$T/before" "$T/after" "the service"
	the_capsule request
	"$CAPSULE" show --events "$T/request.cap" >"$T/events"
	! grep -q /good "$T/events" || fail "it has others' requests: $(grep /good "$T/events" | head -n 3)"
	grep -q 'GET /fail/this' "$T/events" || fail "it has not its own: $(cat "$T/events")"
	"$CAPSULE" show "$T/request.cap" >"$T/show"
	grep -q '^fidelity *complete' "$T/show" || fail "show: $(cat "$T/show")"
	take_away "$T/service.py"
	shows_again request
	grep -q 'http.status=500' "$T/err" || fail "check says: $(cat "$T/err")"
	expect_status 0 "$CAPSULE" audit "$T/store/audit.log"
	grep -q '"event":"capture","policy":"fives","file":' "$T/store/audit.log" || fail "the log: $(cat "$T/store/audit.log")"
}

# On one connection: behind another, in pieces, with more behind it.
case_watch_keepalive() {
	start_service
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	start_watch
	python3 - "$PORT" <<-'PY'
		import socket, sys, time
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		f = s.makefile("rb")
		def answer():
		    status = f.readline()
		    n = 0
		    while (line := f.readline()) != b"\r\n":
		        if line.lower().startswith(b"content-length"):
		            n = int(line.split(b":")[1])
		    return status, f.read(n)
		s.sendall(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
		assert b"200" in answer()[0]
		for piece in (b"POST /fail HTTP/1.1\r\nHost: x\r\nTransfer-Enc", b"oding: chunked\r\n\r\n5\r\nhello\r\n", b"6\r\n world\r\n0\r\n\r\n"):
		    s.sendall(piece)
		    time.sleep(0.05)
		status, body = answer()
		assert b"500" in status and b"hello world" in body, (status, body)
		s.sendall(b"GET /third HTTP/1.1\r\nHost: x\r\n\r\nGET /fourth HTTP/1.1\r\nHost: x\r\n\r\n")
		assert b"200" in answer()[0] and b"200" in answer()[0]
	PY
	wait_long has_capsules 1
	stop_watch
	the_capsule keepalive
	"$CAPSULE" show --events "$T/keepalive.cap" >"$T/events"
	! grep -qE '/(first|third|fourth)' "$T/events" || fail "it has others' requests: $(cat "$T/events")"
	shows_again keepalive
}

# A request that takes too long; a service without threads.
case_watch_latency() {
	start_service HTTPServer
	policy slow "port: $PORT" request '{any: [{latency: "> 5s"}]}'
	start_watch
	load 20
	get /slow >/dev/null
	wait_long has_capsules 1
	stop_watch
	the_capsule latency
	answers_again latency 1
}

# An event loop, in two workers.
case_watch_nginx() {
	needs nginx
	PORT=$(free_port)
	mkdir "$T/nginx"
	cat >"$T/nginx/nginx.conf" <<-CONF
		daemon off; pid $T/nginx/pid; error_log $T/nginx/error.log; worker_processes 2;
		events { worker_connections 64; }
		http {
			access_log off; default_type text/plain;
			client_body_temp_path $T/nginx/body; proxy_temp_path $T/nginx/proxy; fastcgi_temp_path $T/nginx/fastcgi;
			uwsgi_temp_path $T/nginx/uwsgi; scgi_temp_path $T/nginx/scgi;
			server {
				listen 127.0.0.1:$PORT;
				location /fail { return 503 "\$msec \$uri\n"; }
				location / { return 200 "\$msec \$uri\n"; }
			}
		}
	CONF
	start nginx.log nginx -p "$T/nginx" -c "$T/nginx/nginx.conf"
	wait_for listens 127.0.0.1 "$PORT"
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	start_watch
	load 20
	get /fail >/dev/null
	load 20
	wait_long has_capsules 1
	stop_watch
	the_capsule nginx
	shows_again nginx
}

# It fails for what another server said.
case_watch_upstream() {
	needs redis-server
	python3 -c 'import redis' 2>/dev/null || skip "python3-redis is not installed"
	start_redis
	PORT=$(free_port)
	cat >"$T/service.py" <<-PY
		import http.server, os, redis, time
		class Handler(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def do_GET(self):
		        n = redis.Redis(host="127.0.0.1", port=$REDIS).incr("n")
		        body = b"%d %f %s\n" % (n, time.time(), os.urandom(4).hex().encode())
		        self.send_response(500 if n == 13 else 200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    def log_message(self, *a):
		        pass
		http.server.ThreadingHTTPServer(("127.0.0.1", $PORT), Handler).serve_forever()
	PY
	start service.log /usr/bin/python3 "$T/service.py"
	wait_for listens 127.0.0.1 "$PORT"
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	start_watch
	for _ in $(seq 15); do get / >/dev/null; done
	wait_long has_capsules 1
	stop_watch
	the_capsule upstream
	"$CAPSULE" show --events "$T/upstream.cap" >"$T/events"
	[ "$(grep -c 'INCRBY' "$T/events")" = 1 ] || fail "not one question: $(cat "$T/events")"
	shows_again upstream
}

# The trace context of the request and of what it asked of others: in the manifest, in the file's name, in the log; a bad one is nowhere.
case_watch_trace() {
	start_upstream
	PORT=$(free_port)
	cat >"$T/service.py" <<-PY
		import http.client, http.server
		class Handler(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def do_GET(self):
		        c = http.client.HTTPConnection("127.0.0.1", $UP)
		        c.request("GET", "/", headers={"traceparent": self.headers["traceparent"][:36] + "aaaaaaaaaaaaaaaa-01", "tracestate": "up=1"})
		        c.getresponse().read()
		        c.close()
		        self.send_response(500)
		        self.send_header("Content-Length", "0")
		        self.end_headers()
		    def log_message(self, *a):
		        pass
		http.server.ThreadingHTTPServer(("127.0.0.1", $PORT), Handler).serve_forever()
	PY
	start service.log /usr/bin/python3 "$T/service.py"
	wait_for listens 127.0.0.1 "$PORT"
	policy fives-2.x "port: $PORT" request '{any: [{http.status: ">= 500"}]}' 'max_capsules: 2'
	start_watch
	local id=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 file
	curl -sS -H "traceparent: 00-$id-$span-01" -H 'tracestate: a=1' -H 'tracestate: b=2' "http://127.0.0.1:$PORT/"
	wait_long has_capsules 1
	file=$(capsules)
	curl -sS -H "traceparent: 00-$id-0000000000000000-01" "http://127.0.0.1:$PORT/"
	wait_long has_capsules 2
	# Both count as the policy's: there is no third.
	curl -sS -H "traceparent: 00-$id-$span-01" "http://127.0.0.1:$PORT/"
	sleep 1
	stop_watch
	[ "$(capsules | wc -l)" = 2 ] || fail "$(capsules)"
	[[ $file == */fives-2.x-*-*-1.$id-$span.cap ]] || fail "its name: $file"
	"$CAPSULE" show "$file" >"$T/show"
	grep -qx "trace *$id, span $span, state a=1,b=2" "$T/show" || fail "show: $(cat "$T/show")"
	grep -qx "traces on *$id, span aaaaaaaaaaaaaaaa, state up=1" "$T/show" || fail "show: $(cat "$T/show")"
	"$CAPSULE" show --json "$file" >"$T/json"
	grep -q "\"traces\":\[\"00-$id-$span-01 a=1,b=2\"\],\"upstream_traces\":\[\"00-$id-aaaaaaaaaaaaaaaa-01 up=1\"\]" "$T/json" || fail "JSON: $(cat "$T/json")"
	grep -q "\"file\":\"$file\",\"bytes\":[0-9]*,\"trace\":\"$id\",\"span\":\"$span\"" "$T/store/audit.log" || fail "the log: $(cat "$T/store/audit.log")"
	[ "$(grep -c "\"trace\":" "$T/store/audit.log")" = 1 ] || fail "the log: $(cat "$T/store/audit.log")"
	"$CAPSULE" show "$(capsules | grep -vF "$file")" >"$T/show"
	! grep -q '^trace ' "$T/show" || fail "a context that is none: $(cat "$T/show")"
}

# ---- a process ------------------------------------------------------------------------------------

# It ends by a signal: what it had done before is there.
case_watch_crash() {
	start_service
	policy crash "pid: $SERVICE" process '{any: [{signal: [ABRT, SEGV]}]}'
	start_watch
	load 5
	get /crash >/dev/null 2>&1 || :
	wait_long has_capsules 1
	stop_watch
	the_capsule crash
	"$CAPSULE" show "$T/crash.cap" >"$T/show"
	grep -qi 'abrt\|signal' "$T/show" || fail "show: $(cat "$T/show")"
	expect_status 1 as_stranger "$CAPSULE" check "$T/crash.cap"
	grep -q 'signal=ABRT' "$T/err" || fail "check says: $(cat "$T/err")"
}

# A call that fails three times within some seconds.
case_watch_call() {
	start_service
	policy refused "port: $PORT" process '{any: [{syscall: {name: connect, error: ECONNREFUSED, count: 3, within: 10s}}]}'
	start_watch
	get /refused >/dev/null
	get /refused/async >/dev/null
	sleep 0.5
	[ -z "$(capsules)" ] || fail "two were enough"
	get /refused >/dev/null
	wait_long has_capsules 1
	stop_watch
	the_capsule call
	"$CAPSULE" show --events "$T/call.cap" >"$T/events"
	[ "$(grep -c 'GET /refused' "$T/events")" = 3 ] || fail "not three: $(cat "$T/events")"
	answers_again call 3
}

# It ends as it should not, and somebody is told of it, with the capsule's name; an end that is none of these is nobody's business.
case_watch_exit() {
	cat >"$T/page" <<-'SH'
		#!/bin/sh
		echo "$# $1 $2 $CAPSULE_POLICY $CAPSULE_FILE" >>"$PAGES"
	SH
	chmod +x "$T/page"
	export PAGES=$T/pages
	local status
	mkfifo "$T/go0" "$T/go7" "$T/segv"
	for status in 0 7; do
		start "worker$status.log" sh -c "read -r _ <'$T/go$status'; exit $status"
		policy "ends$status" "pid: ${SERVERS[-1]}" process '{any: [{exit: "!= 0"}, {signal: SEGV}]}' '' "notify: {exec: [$T/page, it]}"
	done
	start worker-segv.log sh -c "read -r _ <'$T/segv'; kill -SEGV \$\$"
	policy segv "pid: ${SERVERS[-1]}" process '{all: [{signal: [SEGV, BUS]}, {not: {exit: 0}}]}'
	policy segv-any "pid: ${SERVERS[-1]}" process '{any: [{exit: "!= 0"}, {signal: [SEGV, BUS]}]}'
	start_watch
	wait_long grep -q "watching pid ${SERVERS[-1]}" "$T/watch.log"
	for status in 0 7; do echo >"$T/go$status"; done
	wait_long has_capsules 1
	echo >"$T/segv"
	wait_long has_capsules 2
	wait_long test -s "$PAGES"
	sleep 0.5
	stop_watch
	[ -z "$(capsules 'ends0-*')" ] || fail "exit status 0 is a failure: $(capsules)"
	# A process that a signal killed has no exit status: not even one that is not 0.
	[ "$(capsules | wc -l)" = 2 ] || fail "$(capsules)"
	local all
	all=$(capsules 'segv-any-*')
	"$CAPSULE" show "$all" >"$T/show"
	grep -q 'signal=SEGV' "$T/show" || fail "show: $(cat "$T/show")"
	all=$(capsules 'ends7-*')
	"$CAPSULE" show "$all" >"$T/show"
	grep -q 'exit=7' "$T/show" || fail "show: $(cat "$T/show")"
	[ "$(cat "$PAGES")" = "2 it $all ends7 $all" ] || fail "told: $(cat "$PAGES")"
}

# One of those that a watched process starts: of a policy for trees the end of each is looked at, of one for processes the first one's.
case_watch_tree() {
	mkfifo "$T/go"
	start parent.log sh -c "while read -r code; do sh -c \"echo child; exit \$code\"; done <'$T/go'; exec sleep 60"
	policy tree "pid: ${SERVERS[-1]}" tree '{any: [{exit: "== 9"}]}'
	policy process "pid: ${SERVERS[-1]}" process '{any: [{exit: "== 9"}]}'
	start_watch
	printf '0\n9\n3\n' >"$T/go"
	wait_long has_capsules 1
	sleep 0.5
	stop_watch
	[ "$(capsules | wc -l)" = 1 ] || fail "$(capsules)"
	the_capsule tree
	"$CAPSULE" show --json --events "$T/tree.cap" >"$T/events"
	grep -q '"status":2304' "$T/events" || fail "the child's end is not there: $(cat "$T/events")"
}

# memory_group BYTES: a control group that holds no more, $GROUP.
memory_group() {
	local most
	needs_recording
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		GROUP=/sys/fs/cgroup/capsule-test-$BASHPID most=memory.max
		grep -qw memory /sys/fs/cgroup/cgroup.subtree_control || skip "no memory controller"
	else
		GROUP=/sys/fs/cgroup/memory/capsule-test-$BASHPID most=memory.limit_in_bytes
	fi
	mkdir "$GROUP" 2>/dev/null || skip "no control group can be made"
	echo "$1" >"$GROUP/$most" || { rmdir "$GROUP"; skip "no limit of memory"; }
}

# The kernel kills it for want of memory; one that somebody kills is another matter.
case_watch_oom() {
	memory_group 33554432
	trap 'stop_servers; rmdir "$GROUP"' EXIT
	mkfifo "$T/eat" "$T/wait"
	start eater.log sh -c "echo \$\$ >'$GROUP/cgroup.procs'; exec /usr/bin/python3 -c 'open(\"$T/eat\").read(); x = [bytearray(1 << 20) for i in range(1 << 12)]'"
	policy eater "pid: ${SERVERS[-1]}" process '{any: [{oom: true}]}'
	start waiter.log /usr/bin/python3 -c "open('$T/wait').read()"
	policy waiter "pid: ${SERVERS[-1]}" process '{any: [{oom: true}]}'
	start_watch
	kill -KILL "${SERVERS[-1]}"
	: >"$T/eat"
	wait_long has_capsules 1
	sleep 0.5
	stop_watch
	the_capsule oom
	"$CAPSULE" show --events "$T/oom.cap" >"$T/events"
	grep -q 'KILL.*for want of memory' "$T/events" || fail "$(tail -n 3 "$T/events")"
}

# Somebody asks for it: root may, others may not.
case_watch_trigger() {
	start_service
	policy asked "port: $PORT" process '{any: [{trigger: manual}]}'
	start_watch
	load 20
	expect_status 1 "$CAPSULE" trigger --socket "$T/socket" other
	one_line "other"
	expect_status 1 as_stranger "$CAPSULE" trigger --socket "$T/socket" asked
	expect_status 0 "$CAPSULE" trigger --socket "$T/socket" asked
	grep -q '^1 scope' "$T/out" || fail "it says: $(cat "$T/out")"
	wait_long has_capsules 1
	stop_watch
	the_capsule trigger
	answers_again trigger 20
}

# ---- limits --------------------------------------------------------------------------------------------

# Many failures: no capsule more than allowed, whichever limit it is.
case_watch_limits() {
	start_service
	policy few "port: $PORT" request '{any: [{http.status: ">= 500"}]}' 'max_capsules: 3'
	policy rare "port: $PORT" request '{any: [{http.status: ">= 500"}]}' 'bytes_per_day: 64MiB, max_bytes: 1MiB'
	sed -i '/^- name: rare/,$ s/cool_down: 0s, per_hour: 100/cool_down: 1h, per_hour: 100/' "$T/policy.yaml"
	start_watch
	load 100 /fail
	wait_long has_capsules 4
	sleep 1
	stop_watch
	[ "$(capsules 'few-*' | wc -l)" = 3 ] || fail "max_capsules: $(capsules)"
	[ "$(capsules 'rare-*' | wc -l)" = 1 ] || fail "cool_down: $(capsules)"
	# Whoever starts the recorder again has no new limits.
	: >"$T/watch.log"
	start_watch
	get /fail >/dev/null
	sleep 1
	stop_watch
	[ "$(capsules | wc -l)" = 4 ] || fail "after a new start: $(capsules)"
}

# A storm of 10,000 failures, on kept connections, and a policy for each limit: each has what it may have, and not one more.
case_watch_storm() {
	needs nginx
	PORT=$(free_port)
	mkdir "$T/nginx"
	cat >"$T/nginx/nginx.conf" <<-CONF
		daemon off; master_process off; pid $T/nginx/pid; error_log $T/nginx/error.log;
		events { worker_connections 64; }
		http {
			access_log off; default_type text/plain; keepalive_requests 100000;
			client_body_temp_path $T/nginx/body; proxy_temp_path $T/nginx/proxy; fastcgi_temp_path $T/nginx/fastcgi;
			uwsgi_temp_path $T/nginx/uwsgi; scgi_temp_path $T/nginx/scgi;
			server { listen 127.0.0.1:$PORT; location / { return 503 "\$msec \$request_id \$request_id\n"; } }
		}
	CONF
	start nginx.log nginx -p "$T/nginx" -c "$T/nginx/nginx.conf"
	wait_for listens 127.0.0.1 "$PORT"
	cat >"$T/policy.yaml" <<-YAML
		- host: {max_capsules: 11, per_hour: 12}
	YAML
	local fives='{any: [{http.status: ">= 500"}]}'
	policy seen "port: $PORT" request "$fives" 'max_capsules: 3'
	policy hourly "port: $PORT" request "$fives"
	policy once "port: $PORT" request "$fives"
	policy daily "port: $PORT" process '{any: [{syscall: {name: accept4, error: EAGAIN}}, {trigger: manual}]}' 'max_bytes: 100KiB, bytes_per_day: 200KiB'
	policy never "port: $PORT" request '{any: [{http.status: 404}]}'
	sed -i -e '/^- name: hourly/,/^- name: once/ s/per_hour: 100/per_hour: 2/' -e '/^- name: once/,/^- name: daily/ s/cool_down: 0s/cool_down: 1h/' "$T/policy.yaml"
	start_watch
	python3 - "$PORT" 10000 <<-'PY' || fail "a request failed"
		import socket, sys, threading
		def one(n):
		    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		    f = s.makefile("rb")
		    for i in range(0, n, 10):
		        s.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i * 10)
		        for _ in range(10):
		            assert f.readline().startswith(b"HTTP/1.1 503 ")
		            while (line := f.readline()) != b"\r\n":
		                if line.lower().startswith(b"content-length"):
		                    length = int(line.split(b":")[1])
		            f.read(length)
		ts = [threading.Thread(target=one, args=(int(sys.argv[2]) // 8,)) for _ in range(8)]
		[t.start() for t in ts]
		[t.join() for t in ts]
	PY
	sleep 1
	local i
	for i in 1 2 3 4 5; do "$CAPSULE" trigger -q --socket "$T/socket" daily || :; done
	stop_watch
	[ "$(capsules 'seen-*' | wc -l)" = 3 ] || fail "max_capsules: $(capsules)"
	[ "$(capsules 'hourly-*' | wc -l)" = 2 ] || fail "per_hour: $(capsules)"
	[ "$(capsules 'once-*' | wc -l)" = 1 ] || fail "cool_down: $(capsules)"
	[ -z "$(capsules 'never-*')" ] || fail "$(capsules)"
	local each all=0 n=0
	while read -r each; do
		all=$((all + $(stat -c %s "$each"))) n=$((n + 1))
		[ "$(stat -c %s "$each")" -le 102400 ] || fail "max_bytes: $(stat -c %s "$each")"
		"$CAPSULE" show "$each" >"$T/show" || fail "$(cat "$T/show")"
		grep -q 'hole: budget at capsule' "$T/show" || fail "it does not say that it is not whole: $(cat "$T/show")"
	done < <(capsules 'daily-*')
	[ $n -ge 1 ] && [ $all -le 204800 ] || fail "bytes_per_day: $all bytes in $n"
	[ "$(capsules | wc -l)" -le 11 ] || fail "of the host: $(capsules)"
}

# The history has a size, and so has the recorder.
case_watch_bounded() {
	start_service
	policy asked "port: $PORT" process '{any: [{trigger: manual}]}' '' 'history: {bytes: 1MiB, seconds: 60}'
	start_watch
	load 200
	local before after
	before=$(awk '/^RssAnon/ { print $2 }' "/proc/$WATCH/status")
	load 600
	after=$(awk '/^RssAnon/ { print $2 }' "/proc/$WATCH/status")
	[ $((after - before)) -lt 4096 ] || fail "it grew from $before to $after KiB"
	[ "$after" -lt $((1024 + 32768)) ] || fail "it has $after KiB beside the ring"
	"$CAPSULE" trigger -q --socket "$T/socket" asked
	wait_long has_capsules 1
	stop_watch
	the_capsule bounded
	"$CAPSULE" show --events "$T/bounded.cap" >"$T/events"
	! grep -q '/good1 ' "$T/events" || fail "the first request is there yet"
}

# One good request, beside the bad ones.
case_watch_healthy() {
	start_service
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}' '' 'healthy_sample: 1 per 10m'
	start_watch
	load 20
	get /fail >/dev/null
	wait_long has_capsules 2
	sleep 0.5
	stop_watch
	[ "$(capsules | wc -l)" = 2 ] || fail "$(capsules)"
	! grep -q 'no capsule' "$T/watch.log" || fail "$(cat "$T/watch.log")"
}

# What is older than may be goes.
case_watch_expires() {
	start_service
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}' '' 'retention: 1h'
	mkdir -m 700 "$T/store"
	touch -d '2 hours ago' "$T/store/fives-20200101T000000Z-1-1.cap" "$T/store/other-20200101T000000Z-1-1.cap"
	touch "$T/store/fives-20200101T000000Z-1-2.cap"
	start_watch
	wait_long grep -q 'is removed' "$T/watch.log"
	stop_watch
	[ "$(capsules | wc -l)" = 2 ] || fail "left: $(capsules)"
	grep -q '"event":"expired"' "$T/store/audit.log" || fail "the log: $(cat "$T/store/audit.log")"
}

# A ring that is far too small: nobody waits, nothing fails, and what is lost is told.
case_watch_overflow() {
	start_service
	policy asked "port: $PORT" process '{any: [{trigger: manual}]}'
	start_watch --ring 64K
	kill -STOP "$WATCH"
	load 60
	kill -CONT "$WATCH"
	load 5
	"$CAPSULE" trigger -q --socket "$T/socket" asked
	wait_long has_capsules 1
	stop_watch
	grep -q ' [1-9][0-9]* records lost' "$T/watch.log" || fail "nothing was lost: $(cat "$T/watch.log")"
	the_capsule overflow
	"$CAPSULE" show "$T/overflow.cap" >"$T/show"
	grep -q 'hole: lost' "$T/show" || fail "it does not say so: $(cat "$T/show")"
}

# ---- levels ---------------------------------------------------------------------------------------------

# Without a level that a policy raises no byte of what is said is anywhere, and the capsule says so.
case_watch_metadata() {
	start_service
	policy asked "port: $PORT" process '{any: [{trigger: manual}]}'
	sed -i 's/level: payload/level: metadata/' "$T/policy.yaml"
	start_watch
	get /a-secret-word >"$T/answer"
	"$CAPSULE" trigger -q --socket "$T/socket" asked
	wait_long has_capsules 1
	stop_watch
	the_capsule metadata
	"$CAPSULE" show --events "$T/metadata.cap" >"$T/events"
	! grep -q 'a-secret-word\|HTTP/1' "$T/events" || fail "payload: $(grep 'secret\|HTTP/1' "$T/events")"
	! grep -q "$(cut -d ' ' -f 3 "$T/answer")" "$T/events" || fail "random bytes"
	grep -q 'sendto.*= [1-9]' "$T/events" || fail "no calls: $(cat "$T/events")"
	"$CAPSULE" show "$T/metadata.cap" >"$T/show"
	grep -q 'hole: level' "$T/show" || fail "it does not say so: $(cat "$T/show")"
}

# The level is raised for its time only.
case_watch_ttl() {
	start_service
	policy asked "port: $PORT" process '{any: [{trigger: manual}]}' 'ttl: 1s'
	start_watch
	sleep 2
	get /a-secret-word >"$T/answer"
	"$CAPSULE" trigger -q --socket "$T/socket" asked
	wait_long has_capsules 1
	stop_watch
	the_capsule ttl
	"$CAPSULE" show --events "$T/ttl.cap" >"$T/events"
	! grep -q 'a-secret-word' "$T/events" || fail "payload: $(grep 'secret' "$T/events")"
}

# What a rule names is nowhere in the file, in no frame of it, and the failure is there all the same.
case_watch_redacts() {
	export API_TOKEN=tokenintheenvironment77
	start_service
	unset API_TOKEN
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}' '' "redact: [{header: [authorization]}, {json: [\$.card]}, {env: '*_TOKEN'}]"
	start_watch
	curl -sS -o "$T/answer" -H 'Authorization: Bearer abcdefsecret987' -H 'Content-Type: application/json' -d '{"card": "4111111111111111"}' "http://127.0.0.1:$PORT/fail"
	wait_long has_capsules 1
	stop_watch
	the_capsule redacts
	python3 "$top/tests/frames.py" "$T/redacts.cap" abcdefsecret987 4111111111111111 tokenintheenvironment77 || fail "a secret is in the file"
	! python3 "$top/tests/frames.py" "$T/redacts.cap" 'POST /fail' >/dev/null || fail "the request is not there"
	answers_again redacts 1
	expect_status 1 as_stranger "$CAPSULE" check "$T/redacts.cap"
}

# ---- its own life -------------------------------------------------------------------------------------------

# Policies are read again; a bad file changes nothing.
case_watch_reload() {
	start_service
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	start_watch
	cp "$T/policy.yaml" "$T/good.yaml"
	echo '- name: bad' >>"$T/policy.yaml"
	kill -HUP "$WATCH"
	wait_long grep -q 'stay what they were' "$T/watch.log"
	get /fail >/dev/null
	wait_long has_capsules 1
	sed 's/>= 500/== 200/' "$T/good.yaml" >"$T/policy.yaml"
	kill -HUP "$WATCH"
	wait_long grep -q 'was read again' "$T/watch.log"
	get /fail >/dev/null
	get /good >/dev/null
	wait_long has_capsules 2
	sleep 0.5
	stop_watch
	[ "$(capsules | wc -l)" = 2 ] || fail "$(capsules)"
}

# Clocks are calls only where a policy wants payload with them, and no longer than one does: no policy, its code is as it was, at once.
case_watch_clocks() {
	vdso_is() { state_of "$SERVICE" >"$T/now"; "$1" cmp -s <(grep ^vdso "$T/before") <(grep ^vdso "$T/now"); }
	start_service
	state_of "$SERVICE" >"$T/before"
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	cp "$T/policy.yaml" "$T/payload.yaml"
	sed 's/level: payload/level: metadata/' "$T/payload.yaml" >"$T/metadata.yaml"
	sed 's/port: [0-9]*/port: 1/' "$T/payload.yaml" >"$T/none.yaml"
	cp "$T/metadata.yaml" "$T/policy.yaml"
	start_watch
	wait_long grep -q 'watching pid' "$T/watch.log"
	vdso_is command || fail 'the clocks of a scope without payload are calls'
	cp "$T/payload.yaml" "$T/policy.yaml"
	kill -HUP "$WATCH"
	wait_long grep -q 'watched anew' "$T/watch.log"
	wait_long eval '[ "$(grep -c "watching pid" "$T/watch.log")" = 2 ]'
	sleep 0.2
	vdso_is not || fail 'the clocks are no calls'
	get /fail >/dev/null
	wait_long has_capsules 1
	cp "$T/none.yaml" "$T/policy.yaml"
	kill -HUP "$WATCH"
	wait_long grep -q 'no longer watched: no policy' "$T/watch.log"
	sleep 0.2
	vdso_is command || fail 'nobody watches it, and its clocks are calls'
	kill -0 "$WATCH" || fail "it has ended: $(cat "$T/watch.log")"
	get /good >/dev/null
	stop_watch
	the_capsule clocks
	"$CAPSULE" show --json "$T/clocks.cap" >"$T/show"
	grep -q '"clocks":"exact"' "$T/show" || fail "show: $(cat "$T/show")"
	shows_again clocks
}
not() { ! "$@"; }

# Processes that come later are watched, too, each until its end.
case_watch_comers() {
	start_service
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	start_watch
	kill "$SERVICE"
	wait "$SERVICE" 2>/dev/null || :
	wait_long grep -q 'no longer watched' "$T/watch.log"
	start again.log /usr/bin/python3 "$T/service.py" "$PORT" ThreadingHTTPServer
	wait_long grep -q "watching pid ${SERVERS[-1]}" "$T/watch.log"
	get /fail >/dev/null
	wait_long has_capsules 1
	stop_watch
	the_capsule comers
	shows_again comers
}

# Killed: the service lives, and the next command of root mends what it left.
case_watch_killed() {
	own_run
	start_service
	policy fives "port: $PORT" request '{any: [{http.status: ">= 500"}]}'
	state_of "$SERVICE" >"$T/before"
	start_watch
	local guard
	guard=$(pgrep -P "$WATCH")
	get /good >/dev/null
	kill -KILL $guard "$WATCH"
	wait "$WATCH" 2>/dev/null || :
	get /good >/dev/null
	"$CAPSULE" show "$T/none.cap" >/dev/null 2>&1 || :
	state_of "$SERVICE" >"$T/after"
	same_bytes "$T/before" "$T/after" "the service"
}
