# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Programs that ask their machine: clocks, randomness, identity; stdin, files, datagrams, children.

reached_its_end() { grep -qx EXIT-SUCCESS "$T/$1.out" || fail "$1 did not reach its end (status $STATUS): $(tail -n 3 "$T/$1.out" "$T/$1.err")"; }

case_python() {
	needs python3
	cat >"$T/ask.py" <<-'PY'
		import os, random, secrets, socket, sys, time, uuid
		print(time.time_ns(), time.monotonic(), time.perf_counter_ns(), time.localtime())
		print(uuid.uuid4(), os.urandom(8).hex(), random.random(), secrets.token_hex(12))
		print(os.getpid(), os.getppid(), os.getpgrp(), os.getsid(0), socket.gethostname(), os.uname())
		print(os.cpu_count(), len(os.sched_getaffinity(0)), os.getuid(), os.geteuid(), os.getgid(), os.getgroups(), oct(os.umask(0o27)))
		print({"a", "set", "of", "strings", "in", "an", "order"}, hash("seed"), id(object()))
		print(sorted(os.environ.items()), sys.argv, os.getcwd(), file=sys.stderr)
		sys.exit(3)
	PY
	record python env FROM=outside /usr/bin/python3 "$T/ask.py" one 'two words' ''
	[ "$STATUS" -eq 3 ] || fail "python ended with $STATUS: $(cat "$T/python.err")"
	grep -q "'FROM', 'outside'" "$T/python.err" || fail "the environment did not reach the program"
	take_away "$T/ask.py"
	replays_the_same python
}

# libuuid asks for the network interfaces' addresses.
case_python_uuid1() {
	needs python3
	record uuid /usr/bin/python3 -c 'import uuid; print(uuid.uuid1(), uuid.getnode())'
	[ "$STATUS" -eq 0 ] || fail "python ended with $STATUS"
	replays_the_same uuid
}

# How often Python's threads read the clock while they wait for each other is not the program's doing: misses are right here.
case_python_threads() {
	needs python3
	cat >"$T/threads.py" <<-'PY'
		import os, threading, time
		def work(i, out):
		    for _ in range(20):
		        out[i].append((time.time_ns(), os.urandom(4).hex()))
		        time.sleep(0.001)
		out = [[] for _ in range(4)]
		ts = [threading.Thread(target=work, args=(i, out)) for i in range(4)]
		[t.start() for t in ts]; [t.join() for t in ts]
		print(out)
	PY
	record threads /usr/bin/python3 "$T/threads.py"
	[ "$STATUS" -eq 0 ] || fail "python ended with $STATUS"
	take_away "$T/threads.py"
	ALLOW=misses replays_the_same threads
}

case_python_children() {
	needs python3
	record children /usr/bin/python3 -c 'import os, subprocess, time
for i in range(5):
    print(subprocess.run(["sh", "-c", "echo $$ $PPID; date +%s.%N; head -c 6 /dev/urandom | od -An -tx1"], capture_output=True, text=True).stdout, os.getpid(), time.time_ns())'
	[ "$STATUS" -eq 0 ] || fail "python ended with $STATUS"
	replays_the_same children
}

case_clocks() {
	record clocks "$BIN/clocks"
	reached_its_end clocks
	[ "$STATUS" -eq 7 ] || fail "status $STATUS, not 7"
	replays_the_same clocks --bind "$BIN/clocks:$BIN/clocks"
}

case_clocks_static() {
	record clocks "$BIN/clocks-static"
	reached_its_end clocks
	replays_the_same clocks
}

case_clocks_musl() {
	[ -x "$BIN/clocks-musl" ] || skip "no musl-gcc"
	record clocks "$BIN/clocks-musl"
	reached_its_end clocks
	replays_the_same clocks
}

# A second later and with the program's file gone, the capsule alone must do.
case_clocks_program_gone() {
	cp "$BIN/clocks" "$T/gone"
	record clocks "$T/gone"
	reached_its_end clocks
	take_away "$T/gone"
	replays_the_same clocks
}

case_shell_pipeline() {
	record pipeline sh -c 'for i in 1 2 3; do head -c 100 /dev/urandom | od -An -tx1 | sort | tee -a both; date +%N; echo $$ >&2; done; sort both; exit 9'
	[ "$STATUS" -eq 9 ] || fail "status $STATUS"
	take_away both
	replays_the_same pipeline
}

case_busybox() {
	needs busybox
	record busybox busybox sh -c 'busybox date; busybox cat /proc/uptime /proc/loadavg; busybox hostname; busybox sleep 0.1; busybox date +%N'
	[ "$STATUS" -eq 0 ] || fail "status $STATUS: $(cat "$T/busybox.err")"
	replays_the_same busybox
}

# feed FILE FIFO: in chunks of odd sizes, with pauses
feed() {
	needs_recording
	python3 -c 'import os, sys, time
d = open(sys.argv[1], "rb").read(); o = os.open(sys.argv[2], os.O_WRONLY); n = 1
while d:
    os.write(o, d[:n]); d = d[n:]; n = n * 5 % 9973 + 1; n % 10 or time.sleep(0.001)' "$1" "$2" &
	SERVERS+=($!)
}

case_stdin_megabyte() {
	head -c 1000003 /dev/urandom >"$T/data"
	mkfifo "$T/stdin.in"
	feed "$T/data" "$T/stdin.in"
	record stdin "$BIN/chunks"
	reached_its_end stdin
	grep -q '^1000003 bytes' "$T/stdin.out" || fail "not all of stdin arrived: $(tail -n 2 "$T/stdin.out")"
	take_away "$T/data" "$T/stdin.in"
	replays_the_same stdin
}

case_stdin_polled() {
	head -c 200003 /dev/urandom >"$T/data"
	mkfifo "$T/stdin.in"
	feed "$T/data" "$T/stdin.in"
	record stdin "$BIN/chunks" poll
	reached_its_end stdin
	take_away "$T/data" "$T/stdin.in"
	replays_the_same stdin
}

case_stdin_file() {
	head -c 100000 /dev/urandom | base64 >"$T/sorted.in"
	record sorted sort
	[ "$STATUS" -eq 0 ] || fail "status $STATUS"
	take_away "$T/sorted.in"
	replays_the_same sorted
}

case_stdin_closed() {
	STATUS=0
	needs_recording
	"$CAPSULE" record -q -o "$T/closed.cap" -- sh -c 'cat; echo $?; echo to-stderr >&2' <&- >"$T/closed.out" 2>"$T/closed.err" || STATUS=$?
	echo $STATUS >"$T/closed.status"
	chmod 644 "$T/closed.cap"
	replays_the_same closed
}

case_two_hundred_files() {
	mkdir "$T/work"
	"$BIN/files" make "$T/work"
	record files "$BIN/files" work "$T/work"
	reached_its_end files
	[ "$(ls "$T/work/out" | wc -l)" -eq 53 ] || fail "the recorded program did not write its files"
	take_away "$T/work"
	replays_the_same files
}

# A program that writes relative to its directory, as everything does.
case_in_its_own_directory() {
	mkdir "$T/here"
	echo 'in the file' >"$T/here/data"
	cd "$T/here"
	record here sh -c 'cat data; echo more >>data; echo new >other; ls -A; stat -c "%s %A %U" *; cat data other; rm data; ls; pwd'
	[ "$STATUS" -eq 0 ] || fail "status $STATUS: $(cat "$T/here.err")"
	cd "$T"
	take_away "$T/here"
	replays_the_same here
}

# Files of a directory, one after the other, are read ahead: what is opened is still what was there then, whoever changes it before or after.
case_many_small_files() {
	local i
	mkdir "$T/here" "$T/here/many"
	cd "$T/here"
	for i in $(seq 10 49); do echo "file $i" >"many/$i"; done
	sleep 0.2
	mkfifo "$T/many.in"
	{ until [ -e ready ]; do sleep 0.02; done; echo 'another file 48' >many/48; rm many/49; echo go; } >"$T/many.in" &
	record many python3 -c '
import os, shutil
for i in range(10, 25): print(open(f"many/{i}").read(), end="")
for i in range(25, 35):
    with open(f"many/{i}", "r+") as f: f.write("FILE"); f.seek(0); print(f.read(), end="")
for i in range(35, 40):
    old = open(f"many/{i}").read(); open(f"many/{i}", "w").write(old.upper())
for i in range(40, 45): os.rename(f"many/{i}", f"many/{i}.old"); print(open(f"many/{i}.old").read(), end="")
open("ready", "w"); input()
for i in range(45, 49): print(open(f"many/{i}").read(), end="")
print(os.path.exists("many/49"))
shutil.copytree("many", "copy"); print(sorted(open("copy/" + n).read() for n in os.listdir("copy")))'
	[ "$STATUS" -eq 0 ] || fail "status $STATUS: $(cat "$T/many.err")"
	grep -q 'another file 48' "$T/many.out" || fail "$(cat "$T/many.out")"
	cd "$T"
	! grep -q '^fidelity *[0-9]' <("$CAPSULE" show many.cap) || fail "$("$CAPSULE" show many.cap | grep -A 9 '^fidelity')"
	take_away "$T/here" "$T/many.in"
	replays_the_same many
}

case_datagrams() {
	mkdir "$T/peers" && chmod 755 "$T/peers"
	start_peer datagrams "$T/peers"
	record datagrams "$BIN/datagrams" "$PEER" "$T/peers"
	reached_its_end datagrams
	stop_servers
	take_away "$T/peers"
	replays_the_same datagrams
}

case_devices_and_proc() {
	record proc sh -c 'cat /proc/self/stat /proc/meminfo /proc/cpuinfo /etc/hostname; head -c 20 /dev/zero | od; cat /dev/null; nproc; uname -a; id; ulimit -a'
	replays_the_same proc
}

case_runs_option() {
	record date date +%N
	replay_once date --runs 5
	[ "$REPLAY_STATUS" -eq 0 ] || { why_not date; fail "--runs 5"; }
	[ "$(receipt date runs)" = 5 ] || fail "the receipt counts $(receipt date runs) runs"
}

# From a redirected stdin into a file of its own: cat asks the kernel to copy; and from one file system to another, as they are in a replay.
case_copied_in_the_kernel() {
	mkdir "$T/made"
	seq 20000 >"$T/copied.in"
	record copied sh -c 'cat >"$1/own"; cksum <"$1/own"; cat "$1/own" /usr/bin/env >"$1/both"; cksum "$1/both"; python3 -c "
import os, sys
src, dst = os.open(\"/usr/bin/env\", os.O_RDONLY), os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
print(os.copy_file_range(src, dst, 1000, 7), os.lseek(src, 0, 1), os.copy_file_range(src, dst, 10, None, 500), os.fstat(dst).st_size)
out = os.open(sys.argv[1] + \".2\", os.O_RDWR | os.O_CREAT, 0o600)
print(os.sendfile(out, os.open(\"/proc/uptime\", os.O_RDONLY), None, 4), os.pread(out, 10, 0))
" "$1/py"' sh "$T/made"
	[ "$STATUS" -eq 0 ] || fail "status $STATUS: $(cat "$T/copied.err")"
	take_away "$T/made" "$T/copied.in"
	replays_the_same copied
}
