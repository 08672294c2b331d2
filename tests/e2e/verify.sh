# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# capsule verify: patches that cure, that don't, and that break something else.

# compiled NAME CFLAGS...: a program that squares the number on its stdin, and fails above 3
compiled() {
	local name=$1
	shift
	cat >"$T/square.c" <<-'C'
		#include <assert.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		int main(void)
		{
			int n = 0;
			if (scanf("%d", &n) != 1)
				return 2;
		#ifdef SPENDS
			memset(malloc(64 << 20), 1, 64 << 20);
		#endif
		#ifdef LOGS
			fprintf(stderr, "squaring %d\n", n);
		#endif
		#ifndef CURED
			assert(n <= 3);
		#endif
			printf("%d\n", n * n + WRONG);
			return 0;
		}
	C
	gcc "-DWRONG=${WRONG:-0}" "$@" -o "$T/$name" "$T/square.c"
}

# $T/failure.cap and $T/good.cap of $T/prog
two_capsules() {
	compiled prog
	echo 7 >"$T/failure.in"
	echo 2 >"$T/good.in"
	record failure "$T/prog"
	[ "$STATUS" -eq 134 ] || fail "it ended with $STATUS"
	record good "$T/prog"
}

verify() { "$CAPSULE" verify --runs 3 "$@" "$T/failure.cap" "$T/good.cap"; }

case_cured() {
	needs gcc
	two_capsules
	compiled cured -DCURED
	expect_status 0 verify --patch "$T/cured:$T/prog" --json "$T/report.json"
	grep -q "^cured .*failure.cap$" "$T/out" && grep -q "^unchanged .*good.cap$" "$T/out" || fail "$(cat "$T/out")"
	tail -n 1 "$T/out" | grep -q '^proved: 1 cured, 1 unchanged,' || fail "$(cat "$T/out")"
	python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); assert r["verdict"] == "proved" and [c["proved"] for c in r["capsules"]] == ["cured", "unchanged"]' "$T/report.json" || fail "$(cat "$T/report.json")"
	# a log line more is told, but breaks nothing
	compiled logs -DCURED -DLOGS
	expect_status 0 verify --patch "$T/logs:$T/prog"
	[ "$(grep -c 'also changed: stderr' "$T/out")" = 2 ] || fail "$(cat "$T/out")"
}

case_refused() {
	needs gcc
	two_capsules
	compiled same -DLOGS
	expect_status 1 verify --patch "$T/same:$T/prog"
	grep -q '^not cured .*failure.cap: the failure is there' "$T/out" || fail "$(cat "$T/out")"
	WRONG=1 compiled wrong -DCURED
	expect_status 1 verify -q --patch "$T/wrong:$T/prog"
	[ "$(cat "$T/out")" = 'refused: 1 cured, 0 unchanged, 0 not cured, 1 broken, 0 over budget, 0 without telling; 3 runs each' ] || fail "$(cat "$T/out")"
	compiled spends -DCURED -DSPENDS
	expect_status 0 verify --patch "$T/spends:$T/prog"
	expect_status 1 verify --patch "$T/spends:$T/prog" --budget rss=50%
	grep -q '^over budget .*rss: ' "$T/out" || fail "$(cat "$T/out")"
	expect_status 1 verify --patch "$T/spends:$T/prog" --budget cpu=100000%,pages=50%
	grep -q '^over budget .*pages: ' "$T/out" || fail "$(cat "$T/out")"
	compiled cured -DCURED
	expect_status 0 verify --patch "$T/cured:$T/prog" --budget rss=50%,pages=50%,calls=50%
}

case_no_telling() {
	needs gcc
	two_capsules
	compiled cured -DCURED
	# the base that is named does not fail
	expect_status 125 verify --base "$T/cured:$T/prog" --patch "$T/cured:$T/prog"
	grep -q "^can't tell .*the base does not have the failure" "$T/out" || fail "$(cat "$T/out")"
	grep -q '^unchanged ' "$T/out" || fail "$(cat "$T/out")"
	expect_status 125 "$CAPSULE" verify --patch "$T/cured:$T/prog" /etc/passwd
	expect_status 2 "$CAPSULE" verify "$T/good.cap"
	expect_status 2 "$CAPSULE" verify --patch nothing "$T/good.cap"
	expect_status 2 verify --patch "$T/cured:$T/prog" --budget rss=much
	expect_status 2 verify --patch "$T/cured:$T/prog" --budget time=1%
}

# A program that draws from where no recorder sees it: what differs among the runs of the base is named, and no matter.
case_noise() {
	needs gcc
	grep -qw rdrand /proc/cpuinfo || skip "this processor has no RDRAND"
	cat >"$T/draws.c" <<-'C'
		#include <stdio.h>
		int main(void)
		{
			unsigned long long n = 0;
			while (!__builtin_ia32_rdrand64_step(&n))
				;
			printf("%llu\n", n);
			return CODE;
		}
	C
	gcc -mrdrnd -DCODE=0 -o "$T/draws" "$T/draws.c"
	gcc -mrdrnd -DCODE=1 -o "$T/fails" "$T/draws.c"
	record draws "$T/draws"
	expect_status 0 "$CAPSULE" verify --runs 3 --patch "$T/draws:$T/draws" "$T/draws.cap"
	grep -q 'noise: stdout' "$T/out" || fail "what differs among the base's runs is not named: $(cat "$T/out")"
	expect_status 1 "$CAPSULE" verify --runs 3 --patch "$T/fails:$T/draws" "$T/draws.cap"
	grep -q '^broken .*: the end' "$T/out" || fail "$(cat "$T/out")"
}

# A patch that cures in some runs only proves nothing.
case_flaky() {
	needs gcc
	grep -qw rdrand /proc/cpuinfo || skip "this processor has no RDRAND"
	two_capsules
	cat >"$T/lucky.c" <<-'C'
		#include <stdlib.h>
		#include <stdio.h>
		#include <assert.h>
		int main(void)
		{
			unsigned long long coin = 0;
			int n = 0;
			if (scanf("%d", &n) != 1)
				return 2;
			while (!__builtin_ia32_rdrand64_step(&coin))
				;
			if (coin & 1)
				n = 0;
			assert(n <= 3);
			printf("%d\n", n * n);
			return 0;
		}
	C
	gcc -mrdrnd -o "$T/lucky" "$T/lucky.c"
	expect_status 125 "$CAPSULE" verify --runs 30 --patch "$T/lucky:$T/prog" "$T/failure.cap"
	grep -q "^can't tell .*flaky: [0-9]* of 30 runs" "$T/out" || fail "$(cat "$T/out")"
}

# A server: one request of a session fails.  A patch that hides the error and breaks another answer is refused.
case_server() {
	needs python3 curl
	cat >"$T/server.py" <<-'PY'
		import http.server, sys
		class H(http.server.BaseHTTPRequestHandler):
		    protocol_version = 'HTTP/1.1'
		    def do_GET(self):
		        status, body = 200, self.path * 3
		        if self.path == '/bad': status = 500
		        body = body.encode()
		        self.send_response(status); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
		    def log_message(self, *a): pass
		http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
	PY
	sed "s/if self.path == '.bad': status = 500/pass/" "$T/server.py" >"$T/cured.py"
	sed "s/if self.path == '.bad': status = 500/if self.path == '\/after': body = 'x'/" "$T/server.py" >"$T/wrong.py"
	local port
	port=$(free_port)
	"$CAPSULE" record -q -o "$T/server.cap" -- /usr/bin/python3 "$T/server.py" "$port" >"$T/server.log" 2>&1 &
	SERVERS+=($!)
	wait_for curl -s "127.0.0.1:$port/up"
	curl -s "127.0.0.1:$port/good" "127.0.0.1:$port/bad" "127.0.0.1:$port/after" >/dev/null
	stop_servers
	expect_status 0 "$CAPSULE" verify --runs 3 --patch "$T/cured.py:$T/server.py" "$T/server.cap"
	expect_status 1 "$CAPSULE" verify --runs 3 --patch "$T/wrong.py:$T/server.py" "$T/server.cap"
	grep -q '^broken .*another answer .*GET /after' "$T/out" || fail "$(cat "$T/out")"
}
