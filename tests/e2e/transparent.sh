# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Being recorded changes nothing for the command.

bare() {	# bare NAME CMD...: the same without us
	local name=$1 in=/dev/null
	shift
	STATUS=0
	"$@" <"$in" >"$T/$name.bare.out" 2>"$T/$name.bare.err" || STATUS=$?
	echo $STATUS >"$T/$name.bare.status"
}

case_exit_statuses() {
	local s
	for s in 0 1 2 3 4 42 125 126 127 255; do
		record status sh -c "exit $s"
		[ "$STATUS" -eq $s ] || fail "exit $s came out as $STATUS"
	done
	replay_once status
	check_replay status || fail "replay of status 255"
}

case_killed_by_signal() {
	local s
	for s in TERM:15 KILL:9 SEGV:11 INT:2 PIPE:13; do
		record killed sh -c "kill -${s%:*} \$\$; sleep 5"
		[ "$STATUS" -eq $((128 + ${s#*:})) ] || fail "killed by ${s%:*} came out as $STATUS"
		replay_once killed
		check_replay killed || fail "replay of ${s%:*}"
	done
}

case_environment() {
	needs_recording
	FROM=outside bare env env
	STATUS=0
	FROM=outside "$CAPSULE" record -q -o "$T/env.cap" -- env >"$T/env.out" 2>"$T/env.err" </dev/null || STATUS=$?
	# The shell sets _ to what it starts
	sed -i '/^_=/d' "$T/env.bare.out" "$T/env.out"
	same_bytes "$T/env.bare.out" "$T/env.out" environment || fail "the environment changed"
}

case_signals_and_limits() {
	local what='grep -E "^(Sig(Ign|Blk|Cgt)|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|TracerPid|Umask|Cpus_allowed):" /proc/self/status; ulimit -a; ls -l /proc/self/fd | grep -v total | wc -l; pwd; ps -o pgid=,sid= -p $$ | wc -l; cat /proc/self/personality'
	needs_recording
	trap '' USR1
	bare self sh -c "$what"
	RECORD_OPTS='--aslr --io-uring=allow' record self sh -c "$what"
	same_bytes "$T/self.bare.out" "$T/self.out" "what the program sees of itself" || fail "recording with --aslr shows"
	# Without these the address space is not randomized, which personality (the last line) says, and there is a filter.
	record self sh -c "$what"
	sed -i '$d; /^Seccomp/d' "$T/self.bare.out" "$T/self.out"
	same_bytes "$T/self.bare.out" "$T/self.out" "what the program sees of itself" || fail "recording shows"
}

case_terminal_signal_reaches_the_command() {
	needs_recording
	STATUS=0
	timeout -s INT 1 "$CAPSULE" record -q -o "$T/int.cap" -- sh -c 'trap "echo interrupted; exit 5" INT; while :; do sleep 0.1; done' >"$T/int.out" 2>&1 || STATUS=$?
	grep -q interrupted "$T/int.out" || fail "the command did not get SIGINT: $(cat "$T/int.out")"
	"$CAPSULE" show "$T/int.cap" >/dev/null || fail "the capsule is not whole"
}

case_no_such_command() {
	needs_recording
	expect_status 127 "$CAPSULE" record -q -o "$T/none.cap" -- /no/such/command
	one_line /no/such/command
	expect_status 126 "$CAPSULE" record -q -o "$T/none.cap" -- /etc/passwd
	one_line /etc/passwd
}

case_our_word_is_one_line_on_stderr() {
	needs_recording
	expect_status 0 "$CAPSULE" record -o "$T/echo.cap" -- echo hello
	[ "$(cat "$T/out")" = hello ] || fail "stdout is not the command's alone: $(cat "$T/out")"
	[ "$(wc -l <"$T/err")" -le 1 ] || fail "more than one line: $(cat "$T/err")"
	expect_status 0 "$CAPSULE" replay "$T/echo.cap"
	[ "$(cat "$T/out")" = hello ] || fail "stdout is not the command's alone: $(cat "$T/out")"
	one_line identical
}

# Nothing of the machine outside the scope is touched: a neighbour that makes system calls is not in the capsule.
case_neighbours_are_not_recorded() {
	needs_recording
	head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$T/word"
	start neighbour.log sh -c "while :; do cat $T/word >/dev/null; head -c 10 /dev/urandom >/dev/null; done"
	record quiet sh -c 'sleep 0.5; echo done'
	"$CAPSULE" show --events "$T/quiet.cap" >"$T/events"
	! grep -q "$T/word" "$T/events" || fail "the neighbour's file is in the capsule"
	replays_the_same quiet
}

case_two_recordings_at_once() {
	needs_recording
	"$CAPSULE" record -q -o "$T/a.cap" -- sh -c 'sleep 0.3; date +%N' >"$T/a.out" 2>"$T/a.err" </dev/null &
	local a=$!
	record b sh -c 'sleep 0.2; date +%N; head -c 5 /dev/urandom | od'
	wait $a
	echo 0 >"$T/a.status"
	chmod 644 "$T/a.cap"
	replays_the_same b
	REPLAYS=3 replays_the_same a
}

case_stdio_is_dev_null() {
	needs_recording
	STATUS=0
	"$CAPSULE" record -q -o "$T/null.cap" -- sh -c 'cat; echo out && echo err >&2 && exit 5' </dev/null >/dev/null 2>/dev/null || STATUS=$?
	[ "$STATUS" -eq 5 ] || fail "status $STATUS"
	chmod 644 "$T/null.cap"
	echo 5 >"$T/null.status"
	: >"$T/null.out" >"$T/null.err"
	replays_the_same null
}

# What the command inherits as ignored stays so, when recorded and when replayed.
case_ignored_signals() {
	needs python3
	trap '' USR1 HUP
	record ignored /usr/bin/python3 -c 'import signal as s; print(s.getsignal(s.SIGUSR1), s.getsignal(s.SIGHUP), s.getsignal(s.SIGUSR2), s.pthread_sigmask(s.SIG_BLOCK, []))'
	trap - USR1 HUP
	[ "$(cat "$T/ignored.out")" = '1 1 0 set()' ] || fail "the program saw: $(cat "$T/ignored.out")"
	replays_the_same ignored
}

# script(1) reads of its children from a signalfd: it must not read that one was stopped by us, or it stops, too, and misses its end.
case_parent_with_a_signalfd() {
	local i
	needs script
	for i in 1 2 3 4 5 6; do
		record script timeout 30 script -qec 'echo hi; exit 7' /dev/null
		[ "$STATUS" -eq 7 ] || fail "it ended with $STATUS: $(cat "$T/script.out" "$T/script.err")"
		grep -q hi "$T/script.out" || fail "it printed: $(cat "$T/script.out")"
	done
	"$CAPSULE" show "$T/script.cap" >"$T/shown"
	! grep 'hole:' "$T/shown" | grep -v 'hole: vdso' || fail "it has other holes"
}

# One that stops when its child does, which it hears of in a handler, goes on, and the capsule says what came between them.
case_parent_that_stops_with_its_child() {
	record pass_on timeout --foreground 30 "$BIN/passes_on"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/pass_on.err")"
	says pass_on EXIT-SUCCESS
	"$CAPSULE" show "$T/pass_on.cap" >"$T/shown"
	grep -q 'hole: stop at process of task 2: it stops when its child is stopped' "$T/shown" || fail "none of 50 stops was heard of: $(tail -n 4 "$T/shown")"
	replay_once pass_on
	[ "$(receipt pass_on holes)" -ge 1 ] || fail "the verdict does not speak of the hole"
}

# Who stops for reasons of its own stays stopped until somebody continues it.
case_stop_of_its_own() {
	local pid
	serve halt sh -c 'echo ready; kill -STOP $$; echo on'
	wait_for grep -q ready "$T/halt.out"
	sleep 0.5
	pid=$(running "$SERVING" sh | head -n 1)
	grep -q '^State:.*T' "/proc/$pid/status" || fail "it does not stand still: $(cat "$T/halt.out")"
	kill -CONT "$pid"
	wait "$SERVING" || :
	SERVERS=()
	grep -q on "$T/halt.out" || fail "it did not go on"
}

# Not even a parent that takes any SIGCHLD for the end of its child: a child's first look at a file must not stop it.
case_child_that_reads_a_file() {
	echo content >"$T/file"
	record child python3 -c '
import os, signal, sys, time
told = []
signal.signal(signal.SIGCHLD, lambda *a: told.append(1))
if not os.fork():
	open(sys.argv[1]).read()
	time.sleep(0.2)
	os._exit(0)
os.wait()
time.sleep(0.1)
print(len(told))' "$T/file"
	ended 0
	says child '^1$'
	take_away "$T/file"
	replays_the_same child
}
