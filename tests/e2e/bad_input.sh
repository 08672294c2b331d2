# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What is no capsule, or a damaged one: one clear line, exit 3, no crash, bounded memory.
# Programs that a recorder or a replayer would rather not meet: a clear word and a hole or a miss, never a hang.

a_capsule() {	# $T/whole.cap, with a bit of everything
	mkdir "$T/data" && head -c 300000 /dev/urandom >"$T/data/big" && echo small >"$T/data/small"
	record whole sh -c "cat $T/data/big | od | tail -n 1; cat $T/data/small; date +%N; echo new >$T/data/new"
	[ "$STATUS" -eq 0 ] || fail "status $STATUS"
}

limit_damaged=300
case_damaged() {
	a_capsule
	mkdir "$T/bad"
	python3 "$top/tests/damage.py" "$T/whole.cap" "$T/bad"
	local f n=0
	for f in "$T"/bad/*.cap; do
		refused "$f"
		n=$((n + 1))
	done
	[ $n -gt 150 ] || fail "only $n damaged capsules were tried"
	# And the whole one is not: the loop can tell one from the other.
	expect_status 0 "$ASAN_CAPSULE" show "$T/whole.cap"
	replay_once whole
	check_replay whole || fail "the whole capsule"
}

# refused FILE: replay refuses it, show refuses it or shows what there is and says that it is cut short
refused() {
	local s=0
	expect_status 3 timeout 20 "$ASAN_CAPSULE" replay "$1"
	one_line "capsule replay: "
	[ ! -s "$T/out" ] || fail "replay of ${1##*/} printed something"
	timeout 20 "$ASAN_CAPSULE" show --events "$1" >"$T/out" 2>"$T/err" || s=$?
	case $s in
	3) one_line "capsule show: " ;;
	0) case ${1##*/} in cut-*|without-frame-*) ;; *) fail "show finds nothing wrong with ${1##*/}" ;; esac
	   timeout 20 "$ASAN_CAPSULE" show "$1" >"$T/out" 2>&1 || :
	   grep -qi 'cut short' "$T/out" || fail "show does not say that ${1##*/} is cut short" ;;
	*) fail "show of ${1##*/} ended with $s: $(head -c 1000 "$T/err")" ;;
	esac
	# The address space of the plain program bounds its memory.
	(ulimit -v 400000; timeout 20 "$CAPSULE" show "$1" >/dev/null 2>"$T/err") || s=$?
	[ "$s" -le 3 ] || fail "show of ${1##*/} in 400 MB ended with $s: $(head -c 500 "$T/err")"
}

case_no_regular_file() {
	mkfifo "$T/fifo"
	mkdir "$T/dir"
	: >"$T/empty"
	local f c
	for f in "$T/fifo" "$T/dir" "$T/empty" "$T/missing" /dev/null /dev/zero /dev/urandom /proc/self/exe /proc/self/status "$T"; do
		for c in show replay; do
			expect_status 3 timeout 10 "$ASAN_CAPSULE" $c "$f"
			one_line "capsule $c: " "$f"
			[ ! -s "$T/out" ] || fail "$c $f printed something on stdout"
		done
	done
}

case_unreadable() {
	[ "$(id -u)" = 0 ] || skip "needs root to be another user"
	: >"$T/secret" && chmod 600 "$T/secret"
	expect_status 3 as_user nobody "$CAPSULE" show "$T/secret"
	one_line "$T/secret" denied
}

# Forged, with all sums right: only the name of a file is evil.
case_forged_paths() {
	local f n=0
	for f in "$top"/tests/golden/bad/*path*.cap; do
		expect_status 3 timeout 20 "$ASAN_CAPSULE" replay "$f"
		one_line "capsule replay: " path
		n=$((n + 1))
	done
	[ $n -ge 4 ] || fail "only $n forged capsules"
}

case_usage() {
	expect_status 2 "$CAPSULE" replay
	one_line "capsule replay: "
	expect_status 2 "$CAPSULE" show
	one_line "capsule show: "
	expect_status 125 "$CAPSULE" record
	one_line "capsule record: "
	expect_status 2 "$CAPSULE" replay --no-such-option x
	one_line no-such-option
	expect_status 125 "$CAPSULE" record --no-such-option x
	one_line no-such-option
	expect_status 2 "$CAPSULE" replay --runs many "$T/x"
	one_line many
	expect_status 2 "$CAPSULE" replay --runs 0 "$T/x"
	expect_status 2 "$CAPSULE" replay --bind nonsense "$T/x"
	expect_status 125 "$CAPSULE" record --ring nonsense -- true
	one_line nonsense
}

# ---- programs --------------------------------------------------------------------

# hole NAME WORD: the capsule tells of it
hole() { "$CAPSULE" show "$T/$1.cap" >"$T/shown"; grep -q "hole: .*$2" "$T/shown" || fail "no hole that says '$2': $(grep -i hole "$T/shown")"; }

# differs NAME LIMIT WORD...: the replay ends by itself in LIMIT seconds, with status 1, and says each WORD
differs() {
	local name=$1 limit=$2 start=$SECONDS word
	shift 2
	REPLAY_LIMIT=$((limit + 20)) replay_once "$name"
	[ $((SECONDS - start)) -le "$limit" ] || fail "the replay took $((SECONDS - start)) s"
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not "$name"; fail "status $REPLAY_STATUS, not 1"; }
	"$CAPSULE" replay "$T/$name.cap" >/dev/null 2>"$T/err" </dev/null || :
	for word; do grep -qF -- "$word" "$T/err" || fail "stderr does not say '$word': $(cat "$T/err")"; done
}

# The whole program is two instructions and a call.
case_program_of_one_call() {
	needs gcc
	needs_recording
	printf '.globl _start\n_start: mov $60, %%eax\n mov $7, %%edi\n syscall\n' | gcc -x assembler -nostdlib -static -o "$T/short" -
	record short "$T/short"
	[ "$STATUS" -eq 7 ] || fail "it ended with $STATUS"
	replays_the_same short
}

# Gone, or not to be executed, before its first instruction.
case_program_that_never_starts() {
	needs_recording
	: >"$T/text" && chmod 755 "$T/text"
	expect_status 127 "$CAPSULE" record -o "$T/x.cap" -- "$T/missing"
	one_line "capsule record: " "$T/missing"
	expect_status 126 "$CAPSULE" record -o "$T/x.cap" -- /etc/passwd
	one_line "capsule record: " /etc/passwd
	record killed sh -c 'kill -KILL $$'
	[ "$STATUS" -eq 137 ] || fail "it ended with $STATUS"
	replays_the_same killed
}

case_program_missing_at_replay() {
	record here true
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS"
	mkdir "$T/root"
	expect_status 4 as_stranger "$CAPSULE" replay --rootfs "$T/root" "$T/here.cap"
	one_line "capsule replay: " /usr/ --rootfs
	expect_status 1 as_stranger "$CAPSULE" replay "$T/here.cap" -- "$T/missing"
	one_line "capsule replay: diverged at the program's start" 'No such file'
}

case_program_of_32_bits() {
	needs gcc
	needs_recording
	printf '#include <stdio.h>\nint main(void) { puts("of 32 bits"); return 3; }\n' | gcc -m32 -x c -o "$T/small" - 2>/dev/null || skip "no gcc -m32"
	"$T/small" >/dev/null 2>&1 || [ $? -ne 126 ] || skip "this kernel runs no 32-bit programs"
	record small "$T/small"
	[ "$STATUS" -eq 3 ] || fail "it ended with $STATUS"
	grep -q 'of 32 bits' "$T/small.out" || fail "the recording hindered it"
	hole small '32-bit'
	differs small 20 'killed by SIGSYS' 'the capsule has 2 holes'
}

case_program_that_traces() {
	needs gdb strace
	needs_recording
	record traced strace -f -o "$T/strace.out" sh -c 'date +%N; exit 4'
	[ "$STATUS" -eq 4 ] || fail "it ended with $STATUS: $(cat "$T/traced.err")"
	grep -q 'exited with 4' "$T/strace.out" || fail "strace has not seen the end"
	! grep -qE 'SIGSTOP|SIGCONT' "$T/strace.out" || fail "strace has seen what the recorder does: $(grep -E 'SIGSTOP|SIGCONT' "$T/strace.out")"
	hole traced ptrace
	differs traced 20 'the capsule has'
	record debugged gdb -nx -batch -ex run -ex 'print 6 * 7' /bin/true
	grep -q 'exited normally' "$T/debugged.out" || fail "gdb was disturbed: $(cat "$T/debugged.out")"
	hole debugged ptrace
	differs debugged 30 'the capsule has'
}

# As root, and as a user who becomes root by it: who it was is part of the capsule, nobody becomes anything in a replay.
case_program_that_is_setuid() {
	needs_recording
	cp /usr/bin/id "$T/id" && chmod 4755 "$T/id"
	record root "$T/id"
	record user setpriv --reuid=nobody --regid=nogroup --clear-groups sh -c '"$1"; id; "$1" -u; cat /etc/shadow' x "$T/id"
	grep -q 'euid=0(root)' "$T/user.out" || skip "setuid has no effect here: $(cat "$T/user.out")"
	grep -q 'Permission denied' "$T/user.err" || fail "it could read /etc/shadow"
	replays_the_same root
	replays_the_same user
}

case_program_with_a_filter() {
	record filters "$BIN/edges" filters
	[ "$STATUS" -eq 159 ] || fail "it ended with $STATUS: $(cat "$T/filters.out")"
	grep -q 'signal 31 for call 87' "$T/filters.out" || fail "no trap: $(cat "$T/filters.out")"
	replays_the_same filters
}

case_program_that_closes_all() {
	record closes "$BIN/edges" closes
	[ "$STATUS" -eq 5 ] || fail "it ended with $STATUS"
	replays_the_same closes
}

case_program_that_fills_all() {
	record fills "$BIN/edges" fills
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS"
	replays_the_same fills
	record more sh -c 'ulimit -n 3000 && exec "$@"' sh "$BIN/edges" fills
	replays_the_same more
}

# ---- no end in sight -----------------------------------------------------------------

# stuck_in WHERE WORD...: changed code that waits for what can't come ends within 40 s, with its place
stuck_in() {
	local out=$T/$1.out err=$T/$1.err where=$1 start=$SECONDS word s=0
	shift
	(as_stranger timeout -k 1 60 "$CAPSULE" replay --timeout 20 "$T/stuck.cap" -- "$BIN/stuck" "$PEER" "$where" </dev/null) >"$out" 2>"$err" || s=$?
	[ $s -eq 1 ] || fail "$where: status $s: $(cat "$err")"
	[ $((SECONDS - start)) -le 40 ] || fail "$where: it took $((SECONDS - start)) s"
	for word in 'given up' "$@"; do grep -qF -- "$word" "$err" || fail "$where: stderr does not say '$word': $(cat "$err")"; done
}

limit_deadlock=200
case_deadlock() {
	start_peer text words
	record stuck "$BIN/stuck" "$PEER" none
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS"
	replay_once stuck
	check_replay stuck || fail "it does not replay as it is"
	stop_servers
	local jobs=() j
	stuck_in peer "waits in read of 127.0.0.1:$PEER" 'miss: read on' & jobs+=($!)
	stuck_in lock 'waits in futex' & jobs+=($!)
	stuck_in pipe 'waits in poll' & jobs+=($!)
	stuck_in child 'waits in wait4' 'waits in pause' & jobs+=($!)
	stuck_in client 'waits in accept of its own fd' & jobs+=($!)
	for j in "${jobs[@]}"; do wait "$j" || fail "it is not told as it should be"; done
	stuck_in spin computes 'still running'
	stuck_in clock computes 'still running' 'times more than recorded'
}
