# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# capsule bisect: histories with a bug at a known place, in four languages.

BISECTS=${BISECTS:-3}		# places a language

start_numbers() {	# two servers that answer with 7 and 4: ports $A and $B
	A=$(free_port) B=$(free_port)
	start numbers.log python3 -c '
import http.server, sys, threading
def serve(port, number):
    class H(http.server.BaseHTTPRequestHandler):
        def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"%d\n" % number)
        def log_message(self, *a): pass
    http.server.ThreadingHTTPServer(("127.0.0.1", port), H).serve_forever()
threading.Thread(target=serve, args=(int(sys.argv[1]), 7)).start()
serve(int(sys.argv[2]), 4)' "$A" "$B"
	wait_for listens 127.0.0.1 "$A"
	wait_for listens 127.0.0.1 "$B"
}

# history LANGUAGE BUG: $T/repo, and the failure of its last commit as $T/failure.cap; the program is $T/app, run by $RUN_BY
history() {
	rm -rf "$T/repo"
	python3 "$top/tests/history.py" "$1" "$T/repo" "$2"
	(cd "$T/repo" && sh build.sh) >"$T/build.log" 2>&1 || fail "$(cat "$T/build.log")"
	cp "$T/repo/out/app" "$T/app"
	case $1 in python) RUN_BY=/usr/bin/python3 ;; node) RUN_BY=$(command -v node) ;; *) RUN_BY= ;; esac
	# shellcheck disable=SC2086
	record failure $RUN_BY "$T/app" "$A" "$B"
	[ "$STATUS" -ne 0 ] || fail "commit 63 does not fail: $(cat "$T/failure.out" "$T/failure.err")"
	(cd "$T/repo" && git clean -qfdx)
}

finds_the_bug() {	# finds_the_bug LANGUAGE: at random places, each in 8 builds at most; commits that do not build cost a try each
	local i bug
	needs git python3
	export XDG_CACHE_HOME=$T/cache HOME=$T
	start_numbers
	for i in $(seq "$BISECTS"); do
		bug=$((RANDOM % 62 + 1))
		echo "bug at $bug"
		history "$1" "$bug"
		expect_status 0 "$CAPSULE" bisect --no-cache --repo "$T/repo" --good HEAD~63 --build 'sh build.sh' --bind "out/app:$T/app" "$T/failure.cap"
		grep -q "^first bad commit: [0-9a-f]* commit $bug: bug\$" "$T/out" || fail "bug at $bug: $(head -n 3 "$T/out"; cat "$T/err")"
		[ "$(sed -n 's/.* steps, \([0-9]*\) builds\(, [0-9]* did not build\)*$/\1/p' "$T/out")" -le 8 ] || fail "bug at $bug: $(cat "$T/out" "$T/err")"
		[ -z "$(git -C "$T/repo" status --porcelain)" ] && [ "$(git -C "$T/repo" worktree list | wc -l)" = 1 ] || fail 'the repository was touched'
	done
}

case_c() { needs gcc; finds_the_bug c; }
limit_c=600
case_python() { finds_the_bug python; }
limit_python=600
case_node() { needs node; finds_the_bug node; }
limit_node=600

# one commit of a small history does not build, one hangs, one is reverted: the same tree again
small_history() {
	local i
	git init -q "$T/small"
	for i in 0 1 2 3 4 5 6 7 8 9; do
		cat >"$T/small/app.sh" <<-SH
			read n
			[ $i -eq 4 ] && while :; do :; done
			[ $i -ge 7 ] && [ "\$n" -gt 5 ] && { echo "panic: \$n" >&2; exit 2; }
			echo "\$n"
		SH
		[ $i -eq 6 ] && cp "$T/before" "$T/small/app.sh"
		cp "$T/small/app.sh" "$T/before"
		[ $i -eq 5 ] && echo 'if' >>"$T/small/app.sh"
		git -C "$T/small" add -A
		git -C "$T/small" -c user.email=a@b.c -c user.name=nobody commit -q --allow-empty -m "commit $i"
	done
	cp "$T/small/app.sh" "$T/app.sh"
	echo 8 >"$T/small_failure.in"
	record small_failure sh "$T/app.sh"
	[ "$STATUS" -eq 2 ] || fail "it ended with $STATUS"
}

bisect_small() { "$CAPSULE" bisect --repo "$T/small" --build 'sh -n app.sh' --timeout 3 --bind "app.sh:$T/app.sh" "$T/small_failure.cap" "$@"; }

case_small() {
	needs git
	export XDG_CACHE_HOME=$T/cache HOME=$T
	small_history
	expect_status 0 bisect_small --good HEAD~9
	grep -q '^first bad commit: [0-9a-f]* commit 7$' "$T/out" || fail "$(cat "$T/out" "$T/err")"
	grep -q '^  git bisect run sh -c' "$T/out" || fail "no commands to do it by hand: $(cat "$T/out")"
	# by hand, as it says
	(cd "$T/small" && PATH=$BIN:$PATH && eval "$(sed -n '/^by hand/,$p' "$T/out" | tail -n +2)") >"$T/hand" 2>&1 || fail "$(cat "$T/hand")"
	grep -q '^# first bad commit: .* commit 7$' <(git -C "$T/small" bisect log) || fail "by hand: $(cat "$T/hand")"
	git -C "$T/small" bisect reset >/dev/null 2>&1
	# verdicts are known the second time
	expect_status 0 bisect_small --good HEAD~9
	grep -q ' steps, 1 builds, 1 did not build$' "$T/out" && grep -q 'known from an earlier build' "$T/err" || fail "nothing was remembered: $(cat "$T/out" "$T/err")"
	# likely commits first
	echo "$(git -C "$T/small" rev-parse HEAD~2) 10" >"$T/scores"
	expect_status 0 bisect_small -q --no-cache --good HEAD~9 --scores "$T/scores"
	grep -q '^the scores saved [1-9] steps: 2 instead of' "$T/out" || fail "$(cat "$T/out")"
	[ ! -s "$T/err" ] || fail "-q said: $(cat "$T/err")"
}

case_only_skipped_left() {
	needs git
	export XDG_CACHE_HOME=$T/cache HOME=$T
	small_history
	expect_status 125 bisect_small -q --good HEAD~9 --build false
	! grep -q . "$T/out" || fail "it found one: $(cat "$T/out")"
	one_line 'can be judged'
}

limit_bad_input=300
case_bad_input() {
	needs git
	export XDG_CACHE_HOME=$T/cache HOME=$T
	small_history
	expect_status 2 bisect_small -q --good HEAD --bad HEAD~9
	one_line 'swapped'
	expect_status 2 bisect_small -q --good HEAD
	one_line 'same commit'
	expect_status 2 bisect_small -q --good nonesuch
	one_line 'no such commit'
	expect_status 2 bisect_small -q --good HEAD~1
	one_line 'has the failure, too'
	expect_status 2 bisect_small -q --good HEAD~9 --bad HEAD~6
	one_line 'does not have the failure'
	expect_status 2 bisect_small --good HEAD~9 --repo "$T/cache"
	expect_status 2 "$CAPSULE" bisect "$T/small_failure.cap" --build true
	one_line -- '--good'
	expect_status 125 "$CAPSULE" bisect /etc/passwd --good HEAD~1 --build true
	# an end that can't be judged: no build comes to its end
	expect_status 125 bisect_small -q --good HEAD~9 --build 'sleep 60' --build-timeout 1
	one_line 'can be judged'
	expect_status 125 bisect_small --good HEAD~2 --build 'sleep 60' --build-timeout 1
	grep -q 'skipped, the build was given up: it took longer than 1 s' "$T/err" || fail "$(cat "$T/err")"
	expect_status 125 bisect_small --good HEAD~2 --build 'echo no such header >&2; false'
	grep -q 'skipped, does not build: no such header' "$T/err" || fail "$(cat "$T/err")"
	# what was recorded has not the failure that is named, or it is on another kind of machine
	expect_status 2 bisect_small -q --good HEAD~9 --signature exit=7
	one_line "the signature 'exit=7' is not that of what was recorded"
	"$BIN/alter" machine=aarch64 "$T/small_failure.cap" "$T/other.cap"
	expect_status 125 "$CAPSULE" bisect --repo "$T/small" --good HEAD~9 --build true --bind "app.sh:$T/app.sh" "$T/other.cap"
	one_line 'was recorded on aarch64'
	expect_status 125 "$CAPSULE" check "$T/other.cap"
	one_line 'was recorded on aarch64'
	expect_status 125 "$CAPSULE" verify --patch "$T/app.sh:$T/app.sh" "$T/other.cap"
	grep -q "^can't tell .*was recorded on aarch64" "$T/out" || fail "$(cat "$T/out")"
	expect_status 3 "$CAPSULE" test "$T/other.cap"
	grep -q '^error .*was recorded on aarch64' "$T/out" || fail "$(cat "$T/out")"
	expect_status 3 "$CAPSULE" replay "$T/other.cap"
	expect_status 0 "$CAPSULE" show "$T/other.cap"
	echo 'no commit' >"$T/scores"
	expect_status 2 bisect_small -q --good HEAD~9 --scores "$T/scores"
	one_line 'line 1'
	git clone -q --depth 3 "file://$T/small" "$T/shallow"
	expect_status 2 bisect_small -q --good "$(git -C "$T/small" rev-parse HEAD~9)" --repo "$T/shallow"
	[ "$(git -C "$T/small" worktree list | wc -l)" = 1 ] || fail 'a worktree was left behind'
}

# What the user has not committed stays as it is; so does everything after Ctrl-C.
case_leaves_the_repository_alone() {
	needs git
	export XDG_CACHE_HOME=$T/cache HOME=$T TMPDIR=$T/tmp
	mkdir "$T/tmp"
	small_history
	echo changed >>"$T/small/app.sh"
	echo new >"$T/small/new"
	git -C "$T/small" status --porcelain >"$T/before.status"
	expect_status 0 bisect_small -q --good HEAD~9
	"$CAPSULE" bisect --no-cache --repo "$T/small" --good HEAD~9 --build 'sleep 30' --bind "app.sh:$T/app.sh" "$T/small_failure.cap" >"$T/out" 2>"$T/err" &
	local pid=$!
	wait_for sh -c "ls $T/tmp | grep -q capsule-bisect && pgrep -P $pid"
	kill -INT "$pid"
	local status=0
	wait "$pid" || status=$?
	[ "$status" -eq 130 ] || fail "it ended with $status: $(cat "$T/err")"
	[ -z "$(ls "$T/tmp")" ] || fail "left behind: $(ls "$T/tmp")"
	[ "$(git -C "$T/small" worktree list | wc -l)" = 1 ] || fail 'a worktree was left behind'
	git -C "$T/small" status --porcelain | cmp - "$T/before.status" || fail 'the working tree was touched'
	[ -z "$(git -C "$T/small" for-each-ref refs/bisect)" ] || fail 'refs were left behind'
}

case_go() { needs go; finds_the_bug go; }
limit_go=600
