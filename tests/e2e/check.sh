# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a capsule proves: the failure's signature, found and given; check, on the build that failed and on others.

# A program that fails on what it is given: c_program NAME CFLAGS...
c_program() {
	local name=$1
	shift
	cat >"$T/$name.c" <<-'C'
		#include <assert.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
			char line[100] = "", *end = NULL;
			ssize_t n = read(0, line, sizeof(line) - 1);
		#ifdef LOGS
			fprintf(stderr, "starting, with %d argument(s)\n", argc - 1);
		#endif
			long v = n > 0 ? strtol(line, &end, 10) : 0;
		#ifdef FIXED
			if (v > 3)
				v = 3;
		#endif
		#ifdef HANGS
			for (;;)
				pause();
		#endif
			printf("took %ld\n", v);
			fflush(stdout);
		#ifdef SEGV
			if (v > 3)
				*(volatile int *)0 = 1;
		#endif
			assert(v <= 3);
			return 0;
		}
	C
	gcc "$@" -o "$T/$name" "$T/$name.c"
}

# failing NAME CFLAGS...: $T/prog, recorded as NAME when it failed
failing() {
	local name=$1
	shift
	c_program prog "$@"
	echo 17 >"$T/$name.in"
	record "$name" "$T/prog"
}

case_signature_is_found() {
	needs gcc
	failing assert
	[ "$STATUS" -eq 134 ] || fail "it ended with $STATUS"
	"$CAPSULE" show "$T/assert.cap" | grep -F 'failure    signal=ABRT and stderr~' >/dev/null || fail "$("$CAPSULE" show "$T/assert.cap")"
	"$CAPSULE" show --json "$T/assert.cap" | grep '"signature":"signal=ABRT and ' >/dev/null || fail 'not in the JSON'
	failing segv -DSEGV -DNDEBUG
	"$CAPSULE" show "$T/segv.cap" | grep -x 'failure    signal=SEGV' >/dev/null || fail "$("$CAPSULE" show "$T/segv.cap")"
	record python /usr/bin/python3 -c 'raise KeyError("no such key: %d" % 42)'
	"$CAPSULE" show "$T/python.cap" | grep -xF "failure    exit=1 and stderr~'KeyError: \\'no such key: [0-9]+\\''" >/dev/null || fail "$("$CAPSULE" show "$T/python.cap")"
	record well true
	! "$CAPSULE" show "$T/well.cap" | grep '^failure' >/dev/null || fail 'a good run has a signature'
}

case_check() {
	needs gcc
	failing bad -g
	c_program fixed -DFIXED
	c_program logs -DLOGS
	c_program logs_fixed -DLOGS -DFIXED
	expect_status 1 "$CAPSULE" check "$T/bad.cap"
	one_line 'the failure is there' 'signal=ABRT'
	expect_status 0 "$CAPSULE" check --bind "$T/fixed:$T/prog" "$T/bad.cap"
	one_line 'the failure is gone'
	expect_status 1 "$CAPSULE" check --bind "$T/logs:$T/prog" "$T/bad.cap"
	expect_status 0 "$CAPSULE" check -q --bind "$T/logs_fixed:$T/prog" "$T/bad.cap"
	[ ! -s "$T/err" ] || fail "-q said: $(cat "$T/err")"
	[ ! -s "$T/out" ] || fail "the program's output came through: $(cat "$T/out")"
	expect_status 1 "$CAPSULE" check -v "$T/bad.cap"
	grep -q 'took 17' "$T/out" || fail '-v does not show the output'
}

# Another crash than the recorded one is not the recorded failure.
case_check_another_crash() {
	needs gcc
	failing bad
	c_program other -DSEGV -DNDEBUG
	expect_status 0 "$CAPSULE" check --bind "$T/other:$T/prog" "$T/bad.cap"
	expect_status 1 "$CAPSULE" check --signature 'signal=ABRT or signal=SEGV' --bind "$T/other:$T/prog" "$T/bad.cap"
}

case_check_cannot_tell() {
	needs gcc
	failing bad
	c_program hangs -DHANGS
	expect_status 125 "$CAPSULE" check --timeout 3 --bind "$T/hangs:$T/prog" "$T/bad.cap"
	one_line "can't tell" 'no end'
	printf 'not a program' >"$T/broken"
	chmod +x "$T/broken"
	expect_status 125 "$CAPSULE" check --bind "$T/broken:$T/prog" "$T/bad.cap"
	one_line "can't tell" 'could not be started'
	expect_status 125 "$CAPSULE" check /etc/passwd
	one_line "can't tell"
	head -c 2000 "$T/bad.cap" >"$T/half.cap"
	expect_status 125 "$CAPSULE" check "$T/half.cap"
	one_line "can't tell" 'cut short'
	expect_status 2 "$CAPSULE" check --signature 'exit=7' "$T/bad.cap"
	one_line "can't tell" 'not that of what was recorded'
	expect_status 2 "$CAPSULE" check --signature 'exit=' "$T/bad.cap"
	one_line 'a number is missing'
	expect_status 2 "$CAPSULE" check
	expect_status 2 "$CAPSULE" check "$T/bad.cap" "$T/bad.cap"
}

# A failure that does not show is not gone where the capsule has holes.
case_check_holes() {
	needs gcc
	head -c 200000 /dev/urandom >"$T/big"
	RECORD_OPTS='--snapshot-limit 4K' record holes sh -c "cat '$T/big' >/dev/null; exit 3"
	expect_status 1 "$CAPSULE" check "$T/holes.cap"
	expect_status 125 "$CAPSULE" check "$T/holes.cap" -- sh -c 'exit 0'
	one_line 'hole' '--allow-holes'
	expect_status 0 "$CAPSULE" check --allow-holes "$T/holes.cap" -- sh -c 'exit 0'
}

# Without a failure "the failure" is another output.
case_check_a_good_run() {
	echo word >"$T/good.in"
	record good sh -c 'read a; echo "$a, $a"'
	expect_status 0 "$CAPSULE" check "$T/good.cap"
	one_line 'the output is as recorded'
	expect_status 1 "$CAPSULE" check "$T/good.cap" -- sh -c 'read a; echo "$a; $a"'
	one_line 'the output is not as recorded' stdout
}

case_signature_given() {
	RECORD_OPTS='--signature stdout~^bad' record given sh -c 'echo bad luck'
	expect_status 0 "$CAPSULE" show "$T/given.cap"
	grep -qx 'failure    stdout~^bad' "$T/out" || fail "$(cat "$T/out")"
	expect_status 1 "$CAPSULE" check "$T/given.cap"
	expect_status 0 "$CAPSULE" check "$T/given.cap" -- sh -c 'echo good luck'
	expect_status 125 "$CAPSULE" record --signature 'stdout~(' -o "$T/no.cap" -- true
	one_line 'regex'
	[ ! -e "$T/no.cap" ] || fail 'a capsule was made all the same'
}

# A server that answered with 500.
case_check_a_server() {
	needs python3 curl
	cat >"$T/server.py" <<-'PY'
		import http.server, sys, os
		class H(http.server.BaseHTTPRequestHandler):
		    protocol_version = 'HTTP/1.1'
		    def do_GET(self):
		        status = 500 if self.path == '/bad' and not os.path.exists('/etc/fixed') else 200
		        body = (self.path * 3).encode()
		        self.send_response(status); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
		    def log_message(self, *a): pass
		http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
	PY
	sed "s/ and not os.path.exists('.etc.fixed')/ and False/" "$T/server.py" >"$T/fixed.py"
	local port
	port=$(free_port)
	"$CAPSULE" record -q -o "$T/server.cap" -- /usr/bin/python3 "$T/server.py" "$port" >"$T/server.log" 2>&1 &
	SERVERS+=($!)
	wait_for curl -s "127.0.0.1:$port/up"
	curl -s "127.0.0.1:$port/good" "127.0.0.1:$port/bad" "127.0.0.1:$port/after" >/dev/null
	stop_servers
	"$CAPSULE" show "$T/server.cap" | grep -x 'failure    http.status=500' >/dev/null || fail "$("$CAPSULE" show "$T/server.cap")"
	expect_status 1 "$CAPSULE" check "$T/server.cap"
	expect_status 0 "$CAPSULE" check --bind "$T/fixed.py:$T/server.py" "$T/server.cap"
}

# git bisect run finds the commit with it.
case_git_bisect_run() {
	needs gcc git
	failing bad
	local i
	git init -q "$T/repo"
	cd "$T/repo"
	git config user.email a@b.c
	git config user.name nobody
	for i in $(seq 16); do
		sed "s/#ifdef FIXED/#if $i < 11/; s/took/$([ "$i" -gt 5 ] && echo took || echo read)/" "$T/prog.c" >main.c
		echo "$i" >>main.c.count
		git add . && git commit -q -m "change $i" >/dev/null
	done
	git bisect start HEAD HEAD~15 >/dev/null
	git bisect run sh -c "gcc -o '$T/built' main.c && '$CAPSULE' check -q --bind '$T/built:$T/prog' '$T/bad.cap'" >"$T/log" 2>&1 || fail "$(cat "$T/log")"
	git bisect log | grep -q '^# first bad commit: .* change 11$' || fail "$(git bisect log)"
}

# What a replay saw is a capsule of its own, and none to replay.
case_replay_save() {
	needs gcc
	failing bad
	c_program fixed -DFIXED
	expect_status 1 "$CAPSULE" replay --save "$T/seen.cap" --bind "$T/fixed:$T/prog" "$T/bad.cap"
	"$CAPSULE" show --events "$T/seen.cap" | grep 'took 3' >/dev/null || fail "$("$CAPSULE" show --events "$T/seen.cap")"
	expect_status 0 "$CAPSULE" replay --save "$T/seen.cap" "$T/bad.cap"
	expect_status 0 "$CAPSULE" show --events "$T/seen.cap"
	grep -q 'took 17' "$T/out" || fail "stdout is not in it: $(cat "$T/out")"
	expect_status 3 "$CAPSULE" replay "$T/seen.cap"
	one_line 'what a replay saw'
	expect_status 4 "$CAPSULE" replay --save /nonexistent/x "$T/bad.cap"
	one_line /nonexistent/x
}

# a directory of capsules: a failure, a good run, one cut short, one with a hole
some_capsules() {
	failing bad
	record good sh -c 'echo well'
	mkdir "$T/suite" "$T/suite/deeper"
	mv "$T/bad.cap" "$T/suite/a-failure.cap"
	mv "$T/good.cap" "$T/suite/deeper/good.cap"
	echo no capsule >"$T/suite/README"
}

case_suite() {
	needs gcc
	some_capsules
	c_program fixed -DFIXED
	expect_status 1 "$CAPSULE" test "$T/suite"
	grep -q '^failed .*a-failure.cap: the failure is there: signal=ABRT' "$T/out" || fail "$(cat "$T/out")"
	grep -q '^passed .*deeper/good.cap (' "$T/out" || fail "$(cat "$T/out")"
	[ "$(tail -n 1 "$T/out")" = '1 passed, 1 failed, 0 incomplete, 0 errors' ] || fail "$(cat "$T/out")"
	[ ! -s "$T/err" ] || fail "stderr: $(cat "$T/err")"
	expect_status 0 "$CAPSULE" test -j 1 --bind "$T/fixed:$T/prog" "$T/suite/deeper" "$T/suite/a-failure.cap"
	expect_status 0 "$CAPSULE" test -q --as-recorded "$T/suite"
	[ "$(cat "$T/out")" = '2 passed, 0 failed, 0 incomplete, 0 errors' ] || fail "$(cat "$T/out")"
	head -c 2000 "$T/suite/a-failure.cap" >"$T/suite/half.cap"
	expect_status 3 "$CAPSULE" test --as-recorded "$T/suite"
	grep -q '^incomplete .*half.cap: .*cut short' "$T/out" || fail "$(cat "$T/out")"
	expect_status 2 "$CAPSULE" test
	mkdir "$T/empty"
	expect_status 2 "$CAPSULE" test "$T/empty"
	one_line 'no capsules'
	expect_status 2 "$CAPSULE" test "$T/nonexistent"
	expect_status 2 "$CAPSULE" test -j 0 "$T/suite"
}

case_holes_prove_nothing() {
	head -c 200000 /dev/urandom >"$T/big"
	RECORD_OPTS='--snapshot-limit 4K' record holes sh -c "cat '$T/big' >/dev/null; echo x"
	expect_status 3 "$CAPSULE" test "$T/holes.cap" --bind "$T/big:$T/big"
	grep -q '^incomplete .*hole' "$T/out" || fail "$(cat "$T/out")"
	expect_status 0 "$CAPSULE" test --allow-holes --bind "$T/big:$T/big" "$T/holes.cap"
}

case_reports() {
	needs gcc python3 prove xmllint
	some_capsules
	expect_status 1 "$CAPSULE" test --junit "$T/junit.xml" --json "$T/report.json" "$T/suite"
	xmllint --noout --schema "$top/tests/junit.xsd" "$T/junit.xml" 2>"$T/err" || fail "$(cat "$T/err" "$T/junit.xml")"
	head -c 2000 "$T/suite/a-failure.cap" >"$T/suite/<half> & 'more'.cap"
	expect_status 1 "$CAPSULE" test --junit "$T/errors.xml" "$T/suite"
	grep -q '<error' "$T/errors.xml" || fail 'no error in the report'
	xmllint --noout --schema "$top/tests/junit.xsd" "$T/errors.xml" 2>"$T/err" || fail "$(cat "$T/err" "$T/errors.xml")"
	# the schema can say no
	! sed 's/<testcase classname/<testcase unknown="1" classname/' "$T/junit.xml" | xmllint --noout --schema "$top/tests/junit.xsd" - 2>"$T/err" || fail 'the schema takes anything'
	rm "$T/suite/<half> & 'more'.cap"
	python3 - "$T/junit.xml" "$T/report.json" <<-'PY' || fail "$(cat "$T/junit.xml" "$T/report.json")"
		import json, sys, xml.etree.ElementTree as x
		root = x.parse(sys.argv[1]).getroot()
		assert root.tag == 'testsuites' and root.get('tests') == '2' and root.get('failures') == '1' and root.get('errors') == '0'
		suite, = root
		cases = list(suite)
		assert [c.get('name') for c in cases] == ['a-failure.cap', 'good.cap'] and all(c.get('classname') and float(c.get('time')) > 0 for c in cases)
		failure, = cases[0]
		assert failure.tag == 'failure' and 'signal=ABRT' in failure.get('message') and not len(cases[1])
		r = json.load(open(sys.argv[2]))
		assert (r['passed'], r['failed'], r['incomplete'], r['errors']) == (1, 1, 0, 0)
		assert r['capsules'][0]['signature'].startswith('signal=ABRT') and r['capsules'][0]['outcome'] == 'failed'
	PY
	expect_status 1 "$CAPSULE" test --tap "$T/suite"
	! prove -e cat "$T/out" >"$T/prove" 2>&1 || fail 'prove takes a failure for none'
	grep -q 'Failed test:  1' "$T/prove" || fail "$(cat "$T/prove")"
	expect_status 0 "$CAPSULE" test --tap --as-recorded "$T/suite"
	prove -e cat "$T/out" >"$T/prove" 2>&1 || fail "$(cat "$T/prove")"
}

# What the examples for CI servers call, called.
case_examples() {
	needs gcc
	local f line n=0
	failing bad
	mkdir -p "$T/work/capsules" "$T/work/out"
	mv "$T/bad.cap" "$T/work/capsules"
	c_program fixed -DFIXED
	cp "$T/fixed" "$T/work/out/server"
	cd "$T/work"
	for f in "$top"/examples/*.yml "$top"/examples/Jenkinsfile; do
		line=$(grep -oE 'capsule test [^'"'"']*' "$f") || fail "$f does not call capsule test"
		rm -f capsules.xml
		PATH=$BIN:$PATH sh -c "${line//\/usr\/local\/bin\/server/$T/prog}" >"$T/out" 2>&1 || fail "$f: $(cat "$T/out")"
		[ -s capsules.xml ] || fail "$f: no report"
		n=$((n + 1))
	done
	[ "$n" -eq 3 ] || fail "$n examples"
	python3 -c 'import sys, yaml; [yaml.safe_load(open(f)) for f in sys.argv[1:]]' "$top"/examples/*.yml 2>"$T/err" || grep -q "No module named 'yaml'" "$T/err" || fail "$(cat "$T/err")"
}

# A capsule and its replay, beside each other.
case_diff() {
	needs gcc
	failing bad
	c_program fixed -DFIXED
	expect_status 1 "$CAPSULE" replay -q --save "$T/fixed.seen" --bind "$T/fixed:$T/prog" "$T/bad.cap"
	expect_status 1 "$CAPSULE" diff "$T/bad.cap" "$T/fixed.seen"
	grep -qx 'stdout, byte 5: "took 17\\n" | "took 3\\n"' "$T/out" || fail "$(cat "$T/out")"
	grep -qx 'the end: killed by SIGABRT | exit status 0' "$T/out" || fail "$(cat "$T/out")"
	grep -qx '3 of 3 parts differ' "$T/out" || fail "$(cat "$T/out")"
	# both beside each other, and what came and went
	grep -qE '^    took 17 +\| took 3$' "$T/out" || fail "$(cat "$T/out")"
	grep -A 1 -x stdout "$T/out" | grep -qE '^ +out 8 B in 1, [0-9.]+ to [0-9.]+ ms +\| out 7 B in 1, ' || fail "$(cat "$T/out")"
	# no colour but on a terminal, and never with NO_COLOR
	! grep -q $'\033' "$T/out" || fail 'colour in a file'
	script -qec "'$CAPSULE' diff '$T/bad.cap' '$T/fixed.seen'" /dev/null >"$T/tty" </dev/null || :
	grep -q $'\033\\[31m' "$T/tty" || fail "no colour on a terminal: $(cat "$T/tty")"
	NO_COLOR=1 script -qec "'$CAPSULE' diff '$T/bad.cap' '$T/fixed.seen'" /dev/null >"$T/tty" </dev/null || :
	! grep -q $'\033' "$T/tty" || fail 'colour in spite of NO_COLOR'
	expect_status 0 "$CAPSULE" replay -q --save "$T/same.seen" "$T/bad.cap"
	expect_status 0 "$CAPSULE" diff --sources "$T/bad.cap" "$T/same.seen"
	grep -qx stdout "$T/out" && grep -qx 'in all' "$T/out" || fail "$(cat "$T/out")"
	expect_status 0 "$CAPSULE" diff "$T/bad.cap" "$T/same.seen"
	[ "$(cat "$T/out")" = '0 of 3 parts differ' ] || fail "$(cat "$T/out")"
	expect_status 1 "$CAPSULE" diff -q "$T/fixed.seen" "$T/same.seen"
	[ ! -s "$T/out" ] && [ ! -s "$T/err" ] || fail '-q said something'
	head -c 2000 "$T/bad.cap" >"$T/half.cap"
	expect_status 3 "$CAPSULE" diff "$T/bad.cap" "$T/half.cap"
	one_line 'cut short'
	expect_status 2 "$CAPSULE" diff "$T/bad.cap"
}

# Where in the source it comes from: the lines of the call that first gave out something else, of the signal that killed it.
case_stack() {
	needs gcc
	cat >"$T/deep.c" <<-'C'
		#include <assert.h>
		#include <stdio.h>
		static void __attribute__((noinline)) tell(int n)
		{
			printf("value %d\n", n * FACTOR);
			fflush(stdout);
			asm volatile("");
		}
		static void __attribute__((noinline)) deep(int n)
		{
			if (n)
				deep(n - 1);
			else
				tell(4);
			asm volatile("");
		}
		int main(void)
		{
			puts("begin");
			deep(2);
			assert(FACTOR < 3);
			return 0;
		}
	C
	local level
	for level in 0 2; do
		gcc -g "-O$level" -DFACTOR=1 -o "$T/prog" "$T/deep.c"
		gcc -g "-O$level" -DFACTOR=2 -o "$T/other" "$T/deep.c"
		gcc -g "-O$level" -DFACTOR=3 -o "$T/dies" "$T/deep.c"
		record deep "$T/prog"
		expect_status 1 as_stranger "$CAPSULE" replay --stack --bind "$T/other:$T/prog" "$T/deep.cap"
		grep -qx 'capsule replay: stdout comes from' "$T/err" || fail "$(cat "$T/err")"
		grep -qE '^  #[0-9]+ tell[a-z0-9.]* at .*deep.c:6$' "$T/err" || fail "-O$level: the line is not named: $(cat "$T/err")"
		grep -qE '^  #[0-9]+ main at .*deep.c:20$' "$T/err" || fail "-O$level: main is not reached: $(cat "$T/err")"
		[ "$(grep -c ' deep[a-z0-9.]* at .*deep.c:1[0-9]$' "$T/err")" -ge 1 ] || fail "$(cat "$T/err")"
	done
	expect_status 0 as_stranger "$CAPSULE" replay --stack "$T/deep.cap"
	! grep -q 'comes from' "$T/err" || fail "an identical replay has a stack: $(cat "$T/err")"
	# kept for capsule diff
	expect_status 1 "$CAPSULE" replay -q --stack --save "$T/seen.cap" --bind "$T/other:$T/prog" "$T/deep.cap"
	expect_status 1 "$CAPSULE" diff --stack "$T/deep.cap" "$T/seen.cap"
	grep -qE '^  #[0-9]+ tell[a-z0-9.]* at .*deep.c:6$' "$T/out" || fail "$(cat "$T/out")"
	expect_status 0 "$CAPSULE" show "$T/seen.cap"
	expect_status 0 "$CAPSULE" diff --stack "$T/deep.cap" "$T/deep.cap"
	grep -q 'no stack is kept' "$T/out" || fail "$(cat "$T/out")"
	# of a crash that was recorded, which comes again
	cp "$T/dies" "$T/prog"
	record crash "$T/prog"
	ended 134
	expect_status 0 as_stranger "$CAPSULE" replay --stack "$T/crash.cap"
	grep -qx 'capsule replay: SIGABRT comes from' "$T/err" && grep -qE '^  #[0-9]+ main at .*deep.c:21$' "$T/err" || fail "$(cat "$T/err")"
	# programs that are none of ours are read with care: no symbols, no stack to speak of
	strip -s "$T/other"
	expect_status 1 as_stranger "$CAPSULE" replay --stack --bind "$T/other:$T/prog" "$T/deep.cap"
	grep -q ' in .*/prog$' "$T/err" || fail "$(cat "$T/err")"
}

# A server that died of a request, and builds that don't: one answers and serves on, one serves on and leaves who asked without an answer.
case_check_serves_on() {
	needs python3 curl
	cat >"$T/server.py" <<-'PY'
		import http.server, os, sys
		class H(http.server.BaseHTTPRequestHandler):
		    protocol_version = 'HTTP/1.1'
		    def do_GET(self):
		        if self.path == '/die': os.abort()
		        self.send_response(200); self.send_header('Content-Length', '3'); self.end_headers(); self.wfile.write(b'ok\n')
		    def log_message(self, *a): pass
		http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
	PY
	sed "s/if self.path == '.die': os.abort()/pass/" "$T/server.py" >"$T/cured.py"
	sed "s/os.abort()/return/" "$T/server.py" >"$T/silent.py"
	local port
	port=$(free_port)
	serve dies /usr/bin/python3 "$T/server.py" "$port"
	wait_for listens 127.0.0.1 "$port"
	curl -s "127.0.0.1:$port/a" "127.0.0.1:$port/die" >/dev/null || :
	wait "$SERVING" || :
	SERVERS=()
	[ "$(cat "$T/dies.status")" -eq 134 ] || fail "it ended with $(cat "$T/dies.status")"
	chmod 644 "$T/dies.cap"
	expect_status 1 as_stranger "$CAPSULE" check "$T/dies.cap"
	expect_status 0 as_stranger "$CAPSULE" check --bind "$T/cured.py:$T/server.py" "$T/dies.cap"
	one_line 'the failure is gone'
	expect_status 125 as_stranger "$CAPSULE" check --bind "$T/silent.py:$T/server.py" "$T/dies.cap"
	one_line "can't tell" 'had no answer'
	expect_status 1 "$CAPSULE" replay -q --save "$T/seen.cap" --bind "$T/cured.py:$T/server.py" "$T/dies.cap"
	expect_status 1 "$CAPSULE" diff "$T/dies.cap" "$T/seen.cap"
	grep -qx 'the end: killed by SIGABRT | none, it serves on' "$T/out" || fail "$(cat "$T/out")"
	grep -q '^GET /die.*: no answer | 200, 3 bytes$' "$T/out" || fail "$(cat "$T/out")"
}
