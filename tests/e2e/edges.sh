# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Many replays at once, and what is left of a replay or a recording that was killed.

# The tree below process $1, without what is dead already.
tree() { ps -e -o pid=,ppid=,stat= | awk -v p="$1" '$3 !~ /^Z/ { up[$1] = $2 } END { for (i in up) { for (j = i; j in up && j != p; j = up[j]); if (j == p) print i } }'; }

# The namespaces of the processes $@ that are not ours.
namespaces() {
	local p
	for p; do readlink "/proc/$p"/ns/{user,mnt,pid,net,ipc,uts,time,cgroup} 2>/dev/null || :; done |
		sort -u | grep -vxF -f <(readlink /proc/self/ns/*) || :
}

# nobody_is_in NAMESPACE...: the dead whom the machine's init has not looked after yet are nobody
nobody_is_in() {
	local spaces
	spaces=$(ps -e -o pid=,stat= | awk '$2 !~ /^Z/ { print "/proc/" $1 "/ns" }' | xargs -I{} echo {}/{user,mnt,pid,net} | tr ' ' '\n' | xargs readlink 2>/dev/null) || :
	! echo "$spaces" | grep -qxF "$(printf '%s\n' "$@")"
}

none_runs() { local p; for p; do case $(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null) in Z*|X*|'') ;; *) return 1 ;; esac; done; }

a_talk() {	# $T/talk.cap: a program with two processes, a thread, a connection, a file and the clock
	start_peer text words
	record talk python3 -c 'import os, sys, threading, time, urllib.request
def talk():
    print(urllib.request.urlopen("http://127.0.0.1:%s/" % sys.argv[1]).read(), flush=True)
t = threading.Thread(target=talk)
t.start()
t.join()
if os.fork() == 0:
    open("written", "w").write(os.urandom(8).hex())
    os._exit(3)
print(os.wait()[1], open("written").read(), time.time_ns(), os.getpid(), flush=True)' "$PEER"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/talk.err")"
	stop_servers
	rm -f "$T/written"
}

limit_four_replays_at_once=300
case_four_replays_at_once() {
	needs python3
	a_talk
	mkdir "$T/at-once" && chmod 777 "$T/at-once"
	local i k jobs began=$SECONDS
	for i in $(turns); do
		jobs=()
		for k in 1 2 3 4; do
			(as_stranger timeout -k 1 60 "$CAPSULE" replay -q --json "$T/at-once/$k.json" "$T/talk.cap" </dev/null) \
				>"$T/at-once/$k.out" 2>"$T/at-once/$k.err" & jobs+=($!)
		done
		for k in 1 2 3 4; do
			REPLAY_STATUS=0
			wait "${jobs[$((k - 1))]}" || REPLAY_STATUS=$?
			cp "$T/at-once/$k.out" "$T/talk.replay.out"
			cp "$T/at-once/$k.err" "$T/talk.replay.err"
			cp "$T/at-once/$k.json" "$T/talk.replay.json"
			check_replay talk || fail "replay $k of four, turn $i"
		done
		! is_enough "$i" "$began" || break
	done
	expect_status 0 as_stranger "$CAPSULE" replay --runs 3 "$T/talk.cap"
	one_line '3 of 3 runs identical'
	cat "$T/talk.out" "$T/talk.out" "$T/talk.out" | cmp - "$T/out" || fail "three runs of one command differ"
}

# A replay in the middle of its work: $REPLAYER of the shell $JOB, all its processes in $TREE and their namespaces in $SPACES.
a_long_replay() {
	[ -e "$T/stuck.cap" ] || {
		start_peer text words
		record stuck "$BIN/stuck" "$PEER" none
		[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS"
		stop_servers
	}
	as_stranger env --default-signal=INT "$CAPSULE" replay "$T/stuck.cap" -- "$BIN/stuck" "$PEER" "$1" </dev/null >"$T/long.out" 2>"$T/long.err" &
	JOB=$!
	wait_for grep -q HTTP "$T/long.out"
	REPLAYER=$(pgrep -P $JOB -x capsule) || fail "where is the replayer?"
	TREE=$(tree "$REPLAYER")
	[ "$(echo "$TREE" | wc -l)" -ge 4 ] || fail "a replay is more than these: $TREE"
	# shellcheck disable=SC2086
	SPACES=$(namespaces $TREE)
	[ "$(echo "$SPACES" | wc -l)" -ge 6 ] || fail "a sandbox is more than these: $SPACES"
}

# ends_by SIGNAL STATUS WHERE: nothing is left of a replay that SIGNAL ended
ends_by() {
	local s=0
	a_long_replay "$3"
	kill "-$1" "$REPLAYER"
	wait $JOB 2>/dev/null || s=$?
	[ $s -eq "$2" ] || fail "SIG$1: status $s"
	# shellcheck disable=SC2086
	wait_for none_runs $TREE
	# shellcheck disable=SC2086
	wait_for nobody_is_in $SPACES
}

case_replayer_killed() {
	private_network		# for its mount namespace, in which nobody else leaves files
	mkdir "$T/tmp" && chmod 1777 "$T/tmp"
	mount -t tmpfs -o mode=1777 none /dev/shm
	export TMPDIR=$T/tmp
	local i mounts
	mounts=$(wc -l </proc/self/mountinfo)
	for i in $(turns | head -n 5); do
		ends_by TERM 143 lock
		ends_by INT 130 child
		ends_by KILL 137 clock
		ends_by HUP 129 peer
	done
	[ "$(wc -l </proc/self/mountinfo)" -eq "$mounts" ] || fail "mounts were left: $(cat /proc/self/mountinfo)"
	[ -z "$(ls -A "$T/tmp" /dev/shm | grep -v ':$')" ] || fail "files were left: $(ls -A "$T/tmp" /dev/shm)"
}

# Ctrl-C at a terminal reaches the whole foreground group, the guest too if it were in it.
case_replayer_interrupted_at_a_terminal() {
	needs python3
	start_peer text words
	cp "$BIN/stuck" "$T/stuck"
	record stuck "$T/stuck" "$PEER" none
	stop_servers
	cat >"$T/terminal.py" <<-'PY'
		import os, pty, sys, time
		pid, master = pty.fork()
		if pid == 0:
		    os.execvp(sys.argv[1], sys.argv[1:])
		got = b""
		while b"HTTP" not in got:
		    got += os.read(master, 1000)
		time.sleep(0.5)
		os.write(master, b"\x03")
		print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
	PY
	local i p
	for i in $(turns); do
		timeout 30 python3 "$T/terminal.py" "$CAPSULE" replay "$T/stuck.cap" -- "$T/stuck" "$PEER" lock >"$T/out" </dev/null || fail "status $?"
		[ "$(cat "$T/out")" = -2 ] || fail "it ended with $(cat "$T/out"), not by SIGINT"
		for p in /proc/[0-9]*; do
			[ "$(readlink "$p/exe" 2>/dev/null)" = "$T/stuck" ] || continue
			wait_for none_runs "${p#/proc/}"
		done
	done
}

# Whoever is recorded goes on, to its own end and with the right time, when the recorder is no more.
case_recorder_killed_target_goes_on() {
	needs_recording
	needs python3
	cat >"$T/worker.py" <<-'PY'
		import os, subprocess, sys, time
		for i in range(15):
		    t = time.time()
		    open("/proc/uptime").read()
		    subprocess.run(["true"])
		    open(sys.argv[1] + "/worker.%d" % (i % 3), "w").write("x" * i)
		    print(i, t, flush=True)
		    time.sleep(0.1)
		print("the end")
	PY
	local i rec last
	for i in 1 2 3; do
		"$CAPSULE" record -q -o "$T/killed.cap" -- python3 "$T/worker.py" "$T" >"$T/worker.out" 2>"$T/worker.err" </dev/null &
		rec=$!
		wait_for grep -q "^$((i * 3)) " "$T/worker.out"
		kill -KILL $rec
		wait $rec 2>/dev/null || :
		wait_for grep -q 'the end' "$T/worker.out"
		[ ! -s "$T/worker.err" ] || fail "it was disturbed: $(cat "$T/worker.err")"
		last=$(awk '$1 == 14 { print int($2) }' "$T/worker.out")
		[ $(($(date +%s) - last)) -le 10 ] || fail "its clock is not right: $last"
		expect_status 3 "$CAPSULE" replay "$T/killed.cap"
		one_line "capsule replay: " 'cut short'
	done
}

# ---- ends that have a name --------------------------------------------------------------

# FIFOs with somebody outside at the other end, and one with both ends inside.
case_fifos() {
	needs_recording
	mkfifo -m 666 "$T/in" "$T/out"
	(for i in 1 2 3; do sleep 0.2; echo "line $i at $(date +%N)"; done >"$T/in"; cat "$T/out" >"$T/out.got"; echo again >"$T/in") &
	record fifos sh -c 'cd "$1" && cat in; test -p in && echo a FIFO; stat -c %F in out; echo answer >out; cat <in; mkfifo own; (echo inner >own) & cat own; wait; rm own' x "$T"
	wait
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/fifos.err")"
	grep -q 'line 3' "$T/fifos.out" || fail "nothing came in: $(cat "$T/fifos.out")"
	grep -q answer "$T/out.got" || fail "nothing went out"
	rm "$T/in" "$T/out"
	replays_the_same fifos
	# What goes out is compared: another answer is told.
	replay_once fifos -- sh -c 'cd "$1" && cat in >/dev/null; echo another >out' x "$T"
	[ "$REPLAY_STATUS" -eq 1 ] || fail "status $REPLAY_STATUS for another answer"
	"$CAPSULE" replay "$T/fifos.cap" -- sh -c 'cd "$1" && cat in; echo another >out' x "$T" </dev/null >"$T/said" 2>&1 || :
	grep -q "diverged at $T/out, byte 2" "$T/said" || fail "it does not say where: $(cat "$T/said")"
}

# A terminal by its name, /dev/tty, beside the one that was inherited.
case_terminal_by_name() {
	needs_recording
	needs python3
	cat >"$T/session.py" <<-'PY'
		import fcntl, os, pty, subprocess, sys, termios, time
		master, slave = pty.openpty()
		where = sys.argv[2]
		def own():
		    os.setsid()
		    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
		p = subprocess.Popen([sys.argv[1], "record", "-q", "-o", where + "/tty.cap", "--", "sh", "-c",
		    'read x </dev/tty; echo "got $x" >/dev/tty; tty; stty size; stty -a; read y; echo "$y"; echo "asked" >/dev/tty; cat /dev/tty; exit 3'],
		    stdin=slave, stdout=open(where + "/tty.out", "w"), stderr=open(where + "/tty.err", "w"), preexec_fn=own)
		os.close(slave)
		time.sleep(0.7)
		os.write(master, b"one\n")
		time.sleep(0.7)
		os.write(master, b"two\n")
		time.sleep(0.7)
		os.write(master, b"three\n\x04")
		open(where + "/tty.status", "w").write("%d\n" % p.wait())
	PY
	timeout 60 python3 "$T/session.py" "$CAPSULE" "$T" || fail "could not record"
	chmod 644 "$T/tty.cap"
	grep -q '^two$' "$T/tty.out" || fail "it has not heard all: $(cat "$T/tty.out" "$T/tty.err")"
	replays_the_same tty
}

# Datagrams that are cut, and say so; unix sockets by names relative to the working directory.
case_cut_messages_and_relative_names() {
	needs_recording
	needs python3
	mkdir "$T/sub"
	start peer.log python3 -c 'import os, socket, sys
os.chdir(sys.argv[1])
s = socket.socket(socket.AF_UNIX)
s.bind("stream")
s.listen()
d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
d.bind("words")
print("ready", flush=True)
c, _ = s.accept()
c.send(os.urandom(4).hex().encode())
c.recv(1)
while True:
    _, sender = d.recvfrom(100)
    d.sendto(b"a long message " + os.urandom(8).hex().encode(), sender)' "$T/sub"
	wait_for grep -q ready "$T/peer.log"
	record cut python3 -c 'import os, socket, sys
os.chdir(sys.argv[1])
s = socket.socket(socket.AF_UNIX)
s.connect("sub/stream")
print(s.recv(100), s.getpeername())
s.send(b"x")
os.chdir("sub")
d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
d.bind("mine")
for n in 3, 100, 5:
    d.sendto(b"hello", "../sub/words")
    data, control, flags, sender = d.recvmsg(n)
    print(data, control, flags, bool(flags & socket.MSG_TRUNC), sender)
d.sendto(b"hello", "words")
print(d.recvfrom(4, socket.MSG_TRUNC))' "$T"
	[ "$STATUS" -eq 0 ] || fail "it ended with $STATUS: $(cat "$T/cut.err")"
	grep -q True "$T/cut.out" || fail "nothing was cut: $(cat "$T/cut.out")"
	stop_servers
	rm -r "$T/sub"
	replays_the_same cut
}
