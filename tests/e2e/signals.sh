# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Signals from outside: who sent them, with what, and where they came.

# sends PID SIGNAL [VALUE]: from another process, queued where there is a value; prints that process's pid.
sends() {
	python3 - "$@" <<-'PY'
		import ctypes, os, signal, sys
		pid, sig = int(sys.argv[1]), int(sys.argv[2])
		print(os.getpid())
		if len(sys.argv) < 4:
		    os.kill(pid, sig)
		else:
		    ctypes.CDLL(None).sigqueue(pid, sig, ctypes.c_void_p(int(sys.argv[3]))) and sys.exit("sigqueue")
	PY
}

case_siginfo() {
	local pid
	serve siginfo "$BIN/siginfo"
	wait_for grep -q 'handler ready' "$T/siginfo.out"
	pid=$(running "$SERVING" siginfo)
	sends "$pid" 10 >"$T/senders"
	wait_for grep -q 'handler: signal 10' "$T/siginfo.out"
	sends "$pid" 12 4711 >>"$T/senders"
	wait_for grep -q 'sigwaitinfo ready' "$T/siginfo.out"
	sends "$pid" 10 >>"$T/senders"
	wait_for grep -q 'sigwaitinfo: signal 10' "$T/siginfo.out"
	sends "$pid" 12 815 >>"$T/senders"
	wait_for grep -q 'signalfd ready' "$T/siginfo.out"
	sends "$pid" 37 99 >>"$T/senders"
	wait_for grep -q 'signalfd: signal 37' "$T/siginfo.out"
	sends "$pid" 15 >>"$T/senders"
	wait "$SERVING" || :
	chmod 644 "$T/siginfo.cap"
	SERVERS=()
	grep -q EXIT-SUCCESS "$T/siginfo.out" || fail "it did not end: $(cat "$T/siginfo.out")"
	[ "$(sed -n 's/.* from \([0-9]*\) of user 0.*/\1/p' "$T/siginfo.out" | tr '\n' ' ')" = "$(tr '\n' ' ' <"$T/senders")" ] ||
		fail "not the senders $(tr '\n' ' ' <"$T/senders"): $(cat "$T/siginfo.out")"
	grep -q 'value 4711' "$T/siginfo.out" && grep -q 'value 815' "$T/siginfo.out" && grep -q 'value 99' "$T/siginfo.out" || fail "not the values"
	replays_the_same siginfo
}

# Whether a process outside is there, and what became of signals to it: when replayed it is gone, or another one has its pid.
case_to_outside() {
	needs python3 perl
	start told.log sh -c 'trap "echo told; exit 0" USR1; while :; do sleep 0.1; done'
	local there=$! gone
	sh -c 'exit 0' & gone=$!
	wait "$gone"
	record outside perl -e '
		my ($there, $gone) = @ARGV;
		print "there: ", kill(0, $there), " gone: ", kill(0, $gone), " $!{ESRCH}\n";
		print "group: ", kill(0, -$gone), "\n";
		my $own = fork // die; if (!$own) { select undef, undef, undef, 100; exit }
		print "own: ", kill(0, $own), kill("TERM", $own), "\n"; waitpid $own, 0;
		print "own ended with $?: ", kill(0, $own), "\n";
		kill("USR1", $there) or die; for (1 .. 100) { last unless kill 0, $there; select undef, undef, undef, 0.05 }
		print "told: ", kill(0, $there), " $!\n"' "$there" "$gone"
	ended 0
	says outside 'there: 1 gone: 0'
	says outside 'own ended with 15: 0'
	says outside 'told: 0 No such process'
	grep -q told "$T/told.log" || fail "the signal did not come"
	replays_the_same outside
	# What was not asked then is a miss.
	replay_once outside -- perl -e 'kill 10, $ARGV[0]' 4194000
	receipt outside miss_list | grep -q 'process 4194000 is outside' || fail "no miss: $(receipt outside miss_list)"
}

# Who waits for what his own handler does: when recorded the signal came before the wait, in the replay behind its begin.
case_handler_ends_the_wait() {
	needs python3
	cat >"$T/wait.py" <<-'PY'
		import os, select, signal, time
		r, w = os.pipe()
		os.set_blocking(w, False)
		child = os.fork()
		if child:
		    sum(range(20000000))
		    os.kill(child, signal.SIGTERM)
		    print("ended with", os.waitpid(child, 0)[1], flush=True)
		else:
		    signal.signal(signal.SIGTERM, lambda *a: None)
		    signal.set_wakeup_fd(w)
		    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
		    print("read", os.read(0, 100), flush=True)
		    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
		    print("ready", select.select([r], [], [], 30)[0] == [r], time.monotonic(), flush=True)
		    os._exit(3)
	PY
	(sleep 4; echo late) | "$CAPSULE" record -q -o "$T/wait.cap" -- python3 "$T/wait.py" >"$T/wait.out" 2>"$T/wait.err" || fail "$(cat "$T/wait.err")"
	echo 0 >"$T/wait.status"
	chmod 644 "$T/wait.cap"
	says wait '^ready True'
	says wait '^ended with 768'
	replays_the_same wait
}
