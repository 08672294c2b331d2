# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# capsule minimize: the same failure from less.

# A program that reads files and asks a server line by line; it fails where a file says 4 and the server says 9.
many_sources() {
	cat >"$T/sum.py" <<-'PY'
		import socket, sys
		total = 0
		for name in sys.argv[2:]:
		    try:
		        total += int(open(name).read(3))
		    except FileNotFoundError: pass
		for n in range(4):
		    try:
		        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		        s.sendall(b"%d\n" % n)
		        total += int(s.makefile().readline() or 0)
		    except OSError: pass
		for line in sys.stdin:
		    total += line.startswith("one")
		if total >= 13: raise ValueError("%d is too much" % total)
	PY
	cat >"$T/server.py" <<-'PY'
		import socket, sys
		s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
		while True:
		    c, _ = s.accept()
		    n = c.recv(10)
		    c.sendall(b"9\n" if n == b"2\n" else b"0\n")
		    c.close()
	PY
	local port i
	port=$(free_port)
	start server.log python3 "$T/server.py" "$port"
	wait_for listens 127.0.0.1 "$port"
	mkdir "$T/files"
	for i in 1 2 3 4 5 6; do { echo "  $((i == 3 ? 4 : 0))"; head -c 3000 /dev/urandom | od; } >"$T/files/$i"; done
	seq 2000 >"$T/bad.in"
	record bad /usr/bin/python3 "$T/sum.py" "$port" "$T"/files/*
	ended 1
	stop_servers
	take_away "$T/files"
}

case_minimize() {
	needs python3
	many_sources
	chmod 777 "$T"
	expect_status 0 as_stranger "$CAPSULE" minimize -o "$T/small.cap" "$T/bad.cap"
	one_line 'small.cap: ' 'the failure is there'
	expect_status 1 as_stranger "$CAPSULE" check "$T/small.cap"
	expect_status 0 "$CAPSULE" show --events "$T/small.cap"
	[ ! -e "$T/small.cap.part" ] || fail 'what was tried is left behind'
	# of six files one; of four connections the one, and those before it, in whose place it would answer another question
	local n
	n=$("$CAPSULE" show --events --json "$T/small.cap" | python3 -c '
import json, sys
files, sockets = set(), set()
for e in map(json.loads, sys.stdin):
    if e["kind"] == "file" and "/files/" in e["path"]: files.add(e["path"][-1])
    if e["kind"] == "object" and e.get("remote"): sockets.add(e["id"])
print(sorted(files), len(sockets))')
	[ "$n" = "['3'] 3" ] || fail "it still holds $n: $("$CAPSULE" show "$T/small.cap")"
	[ "$(stat -c %s "$T/small.cap")" -lt "$(($(stat -c %s "$T/bad.cap") / 2))" ] || fail "it is not smaller: $(ls -l "$T"/*.cap)"
	# the same again, byte for byte
	expect_status 0 as_stranger "$CAPSULE" minimize -q -o "$T/again.cap" "$T/bad.cap"
	[ ! -s "$T/err" ] || fail "-q said: $(cat "$T/err")"
	cmp "$T/small.cap" "$T/again.cap" || fail 'another result the second time'
}
limit_minimize=300

# With a check of one's own, the name of the capsule where it says {}; what it says decides.
case_check() {
	needs gcc
	printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void) { static char b[1 << 20]; size_t n = fread(b, 1, sizeof(b) - 1, stdin); b[n] = 0; if (strstr(b, "needle")) abort(); return 0; }\n' >"$T/find.c"
	gcc -o "$T/find" "$T/find.c"
	{ head -c 90000 /dev/urandom | od; echo a needle here; head -c 90000 /dev/urandom | od; } >"$T/hay.in"
	record hay "$T/find"
	ended 134
	expect_status 0 "$CAPSULE" minimize -o "$T/small.cap" "$T/hay.cap" -- sh -c '"$0" check -q "$1"; echo $? >>"$2"; exec "$0" check -q "$1"' "$CAPSULE" {} "$T/answers"
	expect_status 1 "$CAPSULE" check "$T/small.cap"
	grep -qx 0 "$T/answers" && grep -qx 1 "$T/answers" || fail "the check was not asked: $(sort "$T/answers" | uniq -c)"
	# what is behind the needle is gone, so is what can be taken from before it
	"$CAPSULE" show --events --json "$T/small.cap" >"$T/events"
	expect_status 0 "$ASAN_CAPSULE" minimize -o "$T/mine.cap" "$T/hay.cap"
	cmp "$T/mine.cap" "$T/small.cap" || fail 'check and its own signature do not agree'
	[ "$(stat -c %s "$T/small.cap")" -lt "$(($(stat -c %s "$T/hay.cap") / 3 * 2))" ] || fail "it is not smaller: $(ls -l "$T"/*.cap)"
}
limit_check=300

case_nothing_to_keep() {
	echo well >"$T/good.in"
	record good sh -c 'read a; echo "$a"'
	expect_status 125 "$CAPSULE" minimize -o "$T/no.cap" "$T/good.cap"
	one_line 'there is no failure to keep'
	expect_status 125 "$CAPSULE" minimize -o "$T/no.cap" "$T/good.cap" -- true
	one_line 'the check ended with status 0, not 1'
	expect_status 125 "$CAPSULE" minimize -o "$T/no.cap" "$T/good.cap" -- /nonexistent/check
	one_line 'status 127'
	expect_status 125 "$CAPSULE" minimize --timeout 1 -o "$T/no.cap" "$T/good.cap" -- sh -c 'sleep 30'
	one_line 'given up'
	expect_status 3 "$CAPSULE" minimize -o "$T/no.cap" /etc/passwd
	one_line 'not a capsule'
	expect_status 3 "$CAPSULE" minimize -o /nonexistent/no.cap "$T/good.cap"
	one_line /nonexistent/no.cap
	head -c 2000 "$T/good.cap" >"$T/half.cap"
	expect_status 3 "$CAPSULE" minimize -o "$T/no.cap" "$T/half.cap"
	one_line 'cut short'
	expect_status 2 "$CAPSULE" minimize
	expect_status 2 "$CAPSULE" minimize "$T/good.cap" "$T/good.cap"
	[ ! -e "$T/no.cap" ] && [ ! -e "$T/no.cap.part" ] || fail 'something was left behind'
}

# After Ctrl-C the smallest one so far is there, and whole.
case_interrupted() {
	seq 8000 >"$T/bad.in"
	record bad sh -c 'while read a; do :; done; exit 3'
	"$CAPSULE" minimize -o "$T/small.cap" "$T/bad.cap" -- sh -c 'sleep 0.2; exec "$0" check -q "$1"' "$CAPSULE" >"$T/out" 2>"$T/err" &
	local pid=$! status=0
	wait_for test -e "$T/small.cap"
	sleep 0.5
	kill -INT "$pid"
	wait "$pid" || status=$?
	[ "$status" -eq 130 ] || fail "it ended with $status: $(cat "$T/err")"
	one_line 'interrupted, the smallest so far'
	expect_status 1 "$CAPSULE" check "$T/small.cap"
	[ ! -e "$T/small.cap.part" ] || fail 'what was tried is left behind'
}

# Of a keep-alive session stays the request that fails.
case_session() {
	needs python3
	cat >"$T/server.py" <<-'PY'
		import http.server, sys
		class H(http.server.BaseHTTPRequestHandler):
		    protocol_version = 'HTTP/1.1'
		    def do_GET(self):
		        body = b'x' * 20
		        self.send_response(500 if self.path == '/bad' else 200); self.send_header('Content-Length', '20'); self.end_headers(); self.wfile.write(body)
		    def log_message(self, *a): pass
		http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
	PY
	local port n
	port=$(free_port)
	AS='' serve session /usr/bin/python3 "$T/server.py" "$port"
	wait_for listens 127.0.0.1 "$port"
	curl -s "127.0.0.1:$port/a" "127.0.0.1:$port/b" "127.0.0.1:$port/bad" "127.0.0.1:$port/c" >/dev/null
	curl -s "127.0.0.1:$port/d" >/dev/null
	end_server session python3 143
	expect_status 0 "$CAPSULE" minimize -o "$T/small.cap" "$T/session.cap"
	expect_status 1 "$CAPSULE" check "$T/small.cap"
	one_line 'http.status'
	n=$("$CAPSULE" show --events "$T/small.cap" | grep -oE 'GET /[a-z]*' | sort -u | tr '\n' ' ')
	[ "$n" = 'GET /bad ' ] || fail "these requests are left: $n"
}
limit_session=300
