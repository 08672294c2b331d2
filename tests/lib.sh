# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the cases are made of.  A case runs in its own directory $T; $CAPSULE is the tool, $BIN/NAME the programs of tests/programs.
# All servers listen on loopback only, on free ports, and are stopped by their pids.

BIN=$RUN/bin
CAPSULE=$BIN/capsule
ASAN_CAPSULE=$BIN/capsule-asan
USUAL_REPLAYS=20
# How often to replay: REPLAYS times if that is said, else 20 times, or as often as REPLAY_SECONDS (8) allow, but 4 times at least.
turns() { seq "${REPLAYS:-$USUAL_REPLAYS}"; }
is_enough() { [ -z "${REPLAYS:-}" ] && [ "$1" -ge 4 ] && [ $((SECONDS - $2)) -ge "${REPLAY_SECONDS:-8}" ]; }	# is_enough TURN BEGAN
export LC_ALL=C.UTF-8 TZ=UTC

# The sanitizers' word must not look like one of ours.
export ASAN_OPTIONS=exitcode=99:detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:exitcode=99

fail() { echo "FAIL: $*"; exit 1; }
skip() { echo "$*"; exit 77; }

# An ordinary user can't record; root must be able to, or the test fails for that reason.
needs_recording() { [ "$(id -u)" = 0 ] || skip "recording needs root"; }
needs() { local c; for c; do command -v "$c" >/dev/null || skip "$c is not installed"; done; }

# The whole case again in a network and mount namespace of its own, lo up: port 53 is free there, /etc can be covered.
private_network() {
	[ -n "${IN_PRIVATE_NETWORK:-}" ] && return
	needs_recording
	IN_PRIVATE_NETWORK=1 exec unshare -n -m --propagation private -- \
		sh -c 'ip link set lo up && exec "$@"' sh "$top/tests/run" --case "$FILE" "$NAME"
}

# The whole case again with a /run/capsule of its own: what its killed recorders leave is not for the cases beside it to mend.
own_run() {
	[ -n "${IN_OWN_RUN:-}" ] && return
	needs_recording
	mkdir -p -m 700 /run/capsule
	IN_OWN_RUN=1 exec unshare -m --propagation private -- \
		sh -c 'mount -t tmpfs -o mode=700 run /run/capsule && exec "$@"' sh "$top/tests/run" --case "$FILE" "$NAME"
}

# ---- servers ---------------------------------------------------------------------

SERVERS=()
stop_servers() {
	local pid i
	for pid in "${SERVERS[@]}"; do kill "$pid" 2>/dev/null || :; done
	for pid in "${SERVERS[@]}"; do
		for i in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	SERVERS=()
}
trap stop_servers EXIT
trap 'exit 143' TERM

# start LOG CMD...: in the background until stop_servers.
start() {
	local log=$1
	shift
	"$@" </dev/null >"$T/$log" 2>&1 &
	SERVERS+=($!)
}

# wait_for CMD...: until it succeeds, 10 s at most.
wait_for() {
	local i
	for i in $(seq 200); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	fail "waited in vain for: $*"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listens() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# start_nginx: serves $T/www on http $HTTP and https $HTTPS of 127.0.0.1 and ::1.  /live differs at every fetch, *.shtml goes out chunked.
start_nginx() {
	needs nginx
	HTTP=${HTTP:-$(free_port)} HTTPS=${HTTPS:-$(free_port)}
	mkdir -p "$T/www" "$T/nginx"
	self_signed "$T/nginx"
	local six6='' six6s=''
	[ -e /proc/net/if_inet6 ] && six6="listen [::1]:$HTTP;" six6s="listen [::1]:$HTTPS ssl;"
	cat >"$T/nginx/nginx.conf" <<-CONF
		daemon off; master_process off; pid $T/nginx/pid; error_log $T/nginx/error.log;
		events { worker_connections 64; }
		http {
			access_log off; default_type text/plain; keepalive_timeout 30;
			client_body_temp_path $T/nginx/body; proxy_temp_path $T/nginx/proxy; fastcgi_temp_path $T/nginx/fastcgi;
			uwsgi_temp_path $T/nginx/uwsgi; scgi_temp_path $T/nginx/scgi;
			server {
				listen 127.0.0.1:$HTTP; $six6 listen 127.0.0.1:$HTTPS ssl; $six6s
				ssl_certificate $T/nginx/cert.pem; ssl_certificate_key $T/nginx/key.pem;
				root $T/www; ssi on; ssi_types *;
				location = /live { return 200 "\$msec \$request_id \$connection_requests\n"; }
				location = /big { ssi off; }
			}
		}
	CONF
	start nginx.log nginx -p "$T/nginx" -c "$T/nginx/nginx.conf"
	wait_for listens 127.0.0.1 "$HTTP"
	wait_for listens 127.0.0.1 "$HTTPS"
}

self_signed() {	# self_signed DIR: cert.pem and key.pem
	needs openssl
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
		-keyout "$1/key.pem" -out "$1/cert.pem" 2>/dev/null
}

start_redis() {	# on port $REDIS and socket $T/redis.sock
	needs redis-server redis-cli
	REDIS=$(free_port)
	start redis.log redis-server --bind 127.0.0.1 --port "$REDIS" --unixsocket "$T/redis.sock" --unixsocketperm 777 \
		--save '' --appendonly no --dir "$T" --daemonize no
	wait_for redis-cli -p "$REDIS" ping
	wait_for test -S "$T/redis.sock"
}

start_postgres() {	# unix socket in $T/pg, port 5432, database and role postgres; $PSQL is the client itself
	needs_recording
	local bin
	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$bin" ] || skip "postgresql is not installed"
	PSQL=$bin/psql
	mkdir "$T/pg" && chown postgres "$T/pg"
	(cd "$T/pg" && as_user postgres "$bin/initdb" -D "$T/pg/data" -A trust -N -E UTF8 --locale=C >"$T/initdb.log" 2>&1) || fail "initdb: $(tail -n 3 "$T/initdb.log")"
	start postgres.log setpriv --reuid=postgres --regid=postgres --clear-groups "$bin/postgres" -D "$T/pg/data" -k "$T/pg" \
		-c listen_addresses= -c fsync=off -c max_connections=10 -c shared_buffers=8MB
	wait_for "$bin/pg_isready" -q -h "$T/pg"
}

start_s_server() {	# openssl s_server -www on port $TLS
	TLS=$(free_port)
	mkdir -p "$T/tls"
	self_signed "$T/tls"
	start s_server.log openssl s_server -accept "127.0.0.1:$TLS" -cert "$T/tls/cert.pem" -key "$T/tls/key.pem" -www -quiet
	wait_for listens 127.0.0.1 "$TLS"
}

# start_dns ADDRESS: dnsmasq on port 53 of ADDRESS (in a private network), and a resolv.conf that names it.
start_dns() {
	needs dnsmasq
	start dns.log dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --user=root --bind-interfaces --listen-address="$1" \
		--pid-file="$T/dns.pid" --address=/web.test/127.0.0.1 --address=/six.test/::1 --local=/test/
	echo "nameserver $1" >"$T/resolv.conf"
	mount --bind "$T/resolv.conf" /etc/resolv.conf
	wait_for sh -c "getent ahosts web.test"
}

# start_peer MODE [ARG]...: tests/peer.py, a peer that behaves as MODE says; for ports, $PEER is its port.
start_peer() {
	PEER=${PEER:-$(free_port)}
	start "peer-$1.log" python3 "$top/tests/peer.py" "$1" "$PEER" "${@:2}"
	wait_for grep -q ready "$T/peer-$1.log"
}

# One that answers after a few milliseconds, in two parts, with something new each time: port $UP
start_upstream() {
	needs python3
	UP=$(free_port)
	start upstream.log python3 -c '
import http.server, os, sys, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = ("answer to %s %s" % (self.path, os.urandom(4).hex())).encode()
        time.sleep(0.002)
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()' "$UP"
	wait_for listens 127.0.0.1 "$UP"
}

# ---- recording and replaying ------------------------------------------------------

as_user() { local u=$1; shift; setpriv --reuid="$u" --regid="$(id -g "$u")" --clear-groups "$@"; }
# Two machines: commands in front of the recorder and of the replay, for what their machines are to differ in.
HERE=() ELSEWHERE=()
# What a replay knows of this machine: nothing of our environment, no privilege, another directory.
as_stranger() { cd / && "${ELSEWHERE[@]}" env -i PATH="$PATH" HOME=/nonexistent ${CACHE:+XDG_CACHE_HOME="$CACHE"} ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} setpriv --reuid=nobody --regid=nogroup --clear-groups --bounding-set=-all "$@"; }

# record NAME CMD...: $T/NAME.cap, its stdout, stderr and $STATUS; stdin is $T/NAME.in where that exists.
record() {
	needs_recording
	local name=$1 in=/dev/null
	shift
	[ -e "$T/$name.in" ] && in=$T/$name.in
	STATUS=0
	"${HERE[@]}" "$CAPSULE" record -q -o "$T/$name.cap" ${RECORD_OPTS:-} -- "$@" <"$in" >"$T/$name.out" 2>"$T/$name.err" || STATUS=$?
	echo $STATUS >"$T/$name.status"
	[ -s "$T/$name.cap" ] || fail "record left no capsule; stderr: $(head -c 600 "$T/$name.err")"
	chmod 644 "$T/$name.cap"
}

# The inputs that the program had: out of the replay's reach.
take_away() {
	local p
	for p; do mkdir -p "$T/away" && chmod 700 "$T/away" && mv "$p" "$T/away/$RANDOM$RANDOM"; done
}

# replay_once NAME [OPTION...] [-- CMD...]: once, as an ordinary user; $T/NAME.replay.{out,err,json}, $REPLAY_STATUS
replay_once() {
	local name=$1 r=$T/replay
	shift
	[ -d "$r" ] || { mkdir "$r" && chmod 777 "$r"; }
	rm -f "$r/$name.json"
	REPLAY_STATUS=0
	(as_stranger timeout -k 1 "${REPLAY_LIMIT:-60}" "$CAPSULE" replay -q --json "$r/$name.json" "$T/$name.cap" "$@" </dev/null) \
		>"$T/$name.replay.out" 2>"$T/$name.replay.err" || REPLAY_STATUS=$?
	[ ! -e "$r/$name.json" ] || cp "$r/$name.json" "$T/$name.replay.json"
}

# receipt NAME KEY: of the last replay
receipt() { python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))[sys.argv[2]]))' "$T/$1.replay.json" "$2"; }

same_bytes() {	# same_bytes EXPECTED GOT WHAT
	cmp -s "$1" "$2" && return
	echo "$3 differs: $(cmp "$1" "$2" 2>&1 || :)"
	diff -a "$1" "$2" | cut -c 1-200 | head -n 10 || :
	return 1
}

why_not() {	# why_not NAME: all that is known of the last replay
	echo "replay status $REPLAY_STATUS, recorded status $(cat "$T/$1.status")"
	[ ! -s "$T/$1.replay.err" ] || { echo "replay's stderr:"; head -c 1500 "$T/$1.replay.err"; echo; }
	[ ! -s "$T/$1.replay.json" ] || { echo "receipt:"; head -c 2500 "$T/$1.replay.json"; echo; }
}

# Where several processes wrote to one place at once, the receipt says that the recorded order may not be theirs: then the lines count, not their order.
same_output() {
	[ "$(receipt "$1" unsure)" != 0 ] && cmp -s <(sort "$T/$1.out") <(sort "$T/$1.replay.out") && return
	same_bytes "$T/$1.out" "$T/$1.replay.out" stdout
}

# check_replay NAME: the last replay said and was the same; ALLOW names what its receipt may have (misses, ...) where that is right
check_replay() {
	local n=$1
	[ "$REPLAY_STATUS" -eq 0 ] || { why_not "$n"; return 1; }
	same_output "$n" && same_bytes "$T/$n.err" "$T/$n.replay.err" stderr || { why_not "$n"; return 1; }
	# shellcheck disable=SC2086
	python3 - "$T/$n.replay.json" "$(cat "$T/$n.status")" ${ALLOW:-} <<-'PY' || { why_not "$n"; return 1; }
		import json, sys
		r = json.load(open(sys.argv[1]))
		bad = [k for k in ("misses", "holes", "out_of_turn") if r[k] != 0 and k not in sys.argv[3:]]
		if r["verdict"] != "identical" or r["first_divergence"] is not None: bad.append("verdict")
		s = r["guest_status"]
		if (128 + (s & 127) if s & 127 else s >> 8) != int(sys.argv[2]): bad.append("guest_status")
		sys.exit("the receipt is not clean: " + ", ".join(bad) if bad else 0)
	PY
}

# replays_the_same NAME [OPTION...]: stops all servers, then replays it so often, each time the same bytes, status and a clean receipt.
replays_the_same() {
	local name=$1 i began=$SECONDS
	shift
	stop_servers
	for i in $(turns); do
		replay_once "$name" "$@"
		check_replay "$name" || fail "$name: replay $i is not the same"
		! is_enough "$i" "$began" || break
	done
}

# expect_status N CMD...: runs it, keeps $T/out and $T/err
expect_status() {
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>"$T/err" || got=$?
	[ "$got" -eq "$want" ] || fail "status $got, not $want: $* -- stdout: $(head -c 500 "$T/out") -- stderr: $(head -c 1500 "$T/err")"
}

# one_line TEXT...: $T/err is one line and holds each TEXT
one_line() {
	local t
	[ "$(wc -l <"$T/err")" -eq 1 ] || fail "not one line on stderr: $(head -c 1500 "$T/err")"
	for t; do grep -qF -- "$t" "$T/err" || fail "stderr does not say '$t': $(cat "$T/err")"; done
}

# ---- recorded servers ---------------------------------------------------------------

# serve NAME CMD...: records CMD in the background, $AS being in front of the recorder; end_server ends it.
serve() {
	needs_recording
	local name=$1
	shift
	(status=0
	set -o pipefail
	${AS:-} "$CAPSULE" record -q -o "$T/$name.cap" ${RECORD_OPTS:-} -- "$@" </dev/null 2>"$T/$name.err" | cat >"$T/$name.out" || status=$?
	echo $status >"$T/$name.status") &
	SERVING=$!
	SERVERS+=("$SERVING")
}

children() { cat "/proc/$1/task/"*/children 2>/dev/null; }

# The first process below PID $1 that runs what $2 names.
running() {
	local p
	for p in $(children "$1"); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$2" ] && { echo "$p"; return; }
		running "$p" "$2" && return
	done
	return 1
}

end_server() {	# end_server NAME COMM STATUS [SIGNAL]
	local pid
	pid=$(running "$SERVING" "$2" | head -n 1) || fail "$2 does not run: $(head -c 500 "$T/$1.err")"
	kill "-${4:-TERM}" "$pid"
	wait "$SERVING" || :
	SERVERS=()
	[ "$(cat "$T/$1.status")" -eq "$3" ] || fail "$2 ended with $(cat "$T/$1.status"): $(head -c 500 "$T/$1.err")"
	chmod 644 "$T/$1.cap"
}

# ---- programs that ran already ---------------------------------------------------------

# state_of PID: what a recorder that comes to it must leave alone: the code of the vDSO, threads, descriptors, signals.
state_of() {
	python3 - "$1" <<-'PY'
		import hashlib, os, re, sys
		pid = sys.argv[1]
		for line in open(f"/proc/{pid}/maps"):
		    if line.endswith("[vdso]\n"):
		        start, end = (int(x, 16) for x in line.split()[0].split("-"))
		        with open(f"/proc/{pid}/mem", "rb") as mem:
		            mem.seek(start)
		            print("vdso", hashlib.sha256(mem.read(end - start)).hexdigest())
		print("threads", sorted(os.listdir(f"/proc/{pid}/task")))
		print("fds", sorted((fd, re.sub(r"socket:.*", "socket", os.readlink(f"/proc/{pid}/fd/{fd}"))) for fd in os.listdir(f"/proc/{pid}/fd")
		    if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")))
		for line in open(f"/proc/{pid}/status"):
		    if line.startswith(("SigP", "SigB", "SigI", "SigC", "ShdPnd", "TracerPid", "Seccomp")):
		        print(line.strip())
	PY
}

# answers_again NAME [MIN]: every replay gives the recorded answers, MIN of them at least, and never says a plain "identical".
answers_again() {
	local i began=$SECONDS
	stop_servers
	for i in $(turns); do
		replay_once "$1"
		[ "$REPLAY_STATUS" = 0 ] && [ "$(receipt "$1" verdict)" = '"answers identical"' ] && [ "$(receipt "$1" misses)" = 0 ] &&
			[ "$(receipt "$1" out_of_turn)" = 0 ] && [ "$(receipt "$1" answers)" -ge "${2:-5}" ] ||
			{ why_not "$1"; fail "replay $i: $(cat "$T/$1.replay.json")"; }
		! grep -q 'replay: identical' "$T/$1.replay.err" || fail "a plain identical: $(cat "$T/$1.replay.err")"
		grep -q 'after the attach came out identical; start-up:' "$T/$1.replay.err" || fail "the word: $(cat "$T/$1.replay.err")"
		! is_enough "$i" "$began" || break
	done
}

# ---- of what they printed and how they ended -----------------------------------------

says() { grep -aq -- "$2" "$T/$1.out" || fail "$1 did not print '$2': $(head -c 500 "$T/$1.out") -- stderr: $(head -c 500 "$T/$1.err")"; }
ended() { [ "$STATUS" -eq "$1" ] || fail "it ended with $STATUS, not $1: $(head -c 1500 "$T/"*.err)"; }

# compile_go NAME: $T/NAME.go into the static $T/NAME, offline
compile_go() {
	needs go
	(cd "$T" && env GO111MODULE=off GOFLAGS= CGO_ENABLED=0 GOCACHE="$RUN/go-cache" GOPATH="$T/go" GOPROXY=off go build -o "$T/$1" "$T/$1.go") || fail "go build"
}

# A JVM looks into /tmp for the files of others and asks whether these still run (kill 0), which in a replay they do not.
ALONE=-XX:-UsePerfData

# compile_java CLASS: $T/CLASS.java into $T/CLASS.class
compile_java() {
	needs java javac
	(cd "$T" && javac -d "$T" "$1.java") || fail "javac"
}
