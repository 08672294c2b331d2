# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Ways out of a replay, and ways to break who keeps the guest in, each tried by a program inside (tests/programs/escape.c):
# by the plain tool and the sanitized one, as an ordinary user.

# tries WAY [ARG]...: the program tries it; nothing worked, it came to its end, and the supervisor is whole.
tries() {
	[ -e "$T/nothing.cap" ] || record nothing true
	local plain=$CAPSULE tool
	for tool in "$plain" "$ASAN_CAPSULE"; do
		CAPSULE=$tool replay_once nothing ${LIMITS:-} -- "$BIN/escape" "$@"
		[ "$REPLAY_STATUS" -eq 1 ] || { why_not nothing; fail "$1: the replay ended with $REPLAY_STATUS"; }
		! grep -a ^OUT "$T/nothing.replay.out" || fail "$1: it got out"
		grep -aq ^kept "$T/nothing.replay.out" || fail "$1: it tried nothing: $(head -c 500 "$T/nothing.replay.out")"
		[ -n "${NO_END:-}" ] || grep -aqx END "$T/nothing.replay.out" || { why_not nothing; fail "$1: it did not come to its end: $(tail -n 3 "$T/nothing.replay.out")"; }
	done
}

# The program can do what it tries: outside of a sandbox some of it works.
case_the_program_can() {
	needs_recording
	start_peer text 'the secret of the host'
	"$BIN/escape" loopback secret "$PEER" >"$T/loop"
	grep -q "^OUT the host's loopback" "$T/loop" || fail "it does not reach the host: $(cat "$T/loop")"
	unshare -m -p -f -n -u --mount-proc "$BIN/escape" mounts >"$T/mounts"
	grep -q '^OUT mount' "$T/mounts" || fail "it can't mount: $(cat "$T/mounts")"
	[ "$(unshare -p -f -n -m -u --mount-proc "$BIN/escape" namespaces | grep -c ^OUT)" -gt 10 ] || fail "it makes no namespaces"
	unshare -m -p -f -n -u --mount-proc "$BIN/escape" kernel | grep -q '^OUT keyctl' || fail "it can't call keyctl"
}

case_host_network() {
	start_peer text 'the secret of the host'
	tries loopback secret "$PEER"
	start abstract.log python3 -c 'if True:
		import socket, sys, threading
		def serve(name):
		    s = socket.socket(socket.AF_UNIX); s.bind(name); s.listen()
		    while True:
		        c, _ = s.accept(); c.sendall(b"the secret of the host")
		threading.Thread(target=serve, args=("\0capsule-test-%s" % sys.argv[1],), daemon=True).start()
		serve(sys.argv[2])' "$$" "$T/listening"
	wait_for test -S "$T/listening"
	chmod 777 "$T/listening"
	as_user nobody "$BIN/escape" abstract secret "capsule-test-$$" "$T/listening" >"$T/abstract"
	[ "$(grep -c ^OUT "$T/abstract")" -eq 2 ] || fail "outside it does not reach the sockets: $(cat "$T/abstract")"
	tries abstract secret "capsule-test-$$" "$T/listening"
}

case_supervisor() {
	sleep 1000 &
	SERVERS+=($!)
	tries supervisor $!
	kill -0 $! || fail "the host's process is gone"
}

# The root directory is the end of the way up, from each directory in it: mounted there or not, changed or not.
case_the_way_up() {
	needs busybox
	mkdir -p "$T/root/bin" "$T/root/etc" "$T/root/empty" "$T/open"
	cp "$(command -v busybox)" "$T/root/bin/busybox"
	echo inside >"$T/root/etc/hostname"
	echo 'the secret of the host' >"$T/open/secret"
	chmod 755 "$T" "$T/open"
	as_user nobody cat "$T/open/secret" >/dev/null || fail "outside it can't be read either"
	RECORD_OPTS="--rootfs $T/root" record up /bin/busybox sh -c 'echo changed >/etc/new; /bin/busybox mkdir /made; echo x >/made/x'
	# shellcheck disable=SC2016
	replay_once up -- /bin/busybox sh -c 'for d in /bin /etc /empty /made /proc /sys /dev /dev/shm/..; do
		/bin/busybox cat "$d/../'"$T"'/open/secret"; cd "$d" && /bin/busybox cat "../../..'"$T"'/open/secret"; done
		/bin/busybox cat /bin/../etc/hostname; echo END'
	grep -qx END "$T/up.replay.out" || { why_not up; fail "it did not come to its end"; }
	grep -qx inside "$T/up.replay.out" || fail "the way up does not lead to its own root: $(cat "$T/up.replay.out" "$T/up.replay.err")"
	! grep -a secret "$T/up.replay.out" || fail "it got out"
}

case_mounts() { tries mounts; }
case_namespaces() { tries namespaces; }
case_kernel() { tries kernel; }

# The host's files, settings and devices, also where root replays and the modes alone would allow it.
case_files() {
	local pattern f
	pattern=$(cat /proc/sys/kernel/core_pattern)
	mkdir "$T/open" && chmod 777 "$T/open"
	echo before >"$T/open/file" && chmod 666 "$T/open/file"
	cp /bin/true "$T/open/program" && chmod 755 "$T/open/program"
	sha256sum /usr/bin/env /etc/passwd "$T/open/file" "$T/open/program" >"$T/before"
	tries files "$T/open/file" "$T/open/program" /usr/bin/env /etc/passwd
	expect_status 1 "$CAPSULE" replay "$T/nothing.cap" -- "$BIN/escape" files "$T/open/file" "$T/open/program" /usr/bin/env /etc/passwd
	! grep -a ^OUT "$T/out" || fail "root's guest got out"
	grep -aqx END "$T/out" || fail "root's guest did not come to its end: $(cat "$T/out" "$T/err")"
	sha256sum -c --quiet "$T/before" || fail "the host's files were changed"
	[ "$(stat -c %a "$T/open/file") $(stat -c %a "$T/open/program")" = '666 755' ] || fail "their modes were changed"
	[ "$(cat /proc/sys/kernel/core_pattern)" = "$pattern" ] || fail "core_pattern was changed"
	for f in mounts namespaces kernel; do
		expect_status 1 "$CAPSULE" replay "$T/nothing.cap" -- "$BIN/escape" $f
		! grep -a ^OUT "$T/out" || fail "root's guest got out by $f"
		grep -aqx END "$T/out" || fail "root's guest did not come to its end in $f"
	done
}

# Who replays as root gives root up first: the guest is nobody's process outside, and reads what nobody may, and what it was given by name.
case_root_is_given_up() {
	needs_recording
	needs busybox
	grep -q '^ *0 *0 ' /proc/self/uid_map || skip "root is not the machine's here"
	mkdir -m 700 "$T/own"
	echo 'the secret of the host' | tee "$T/secret" >"$T/own/secret"
	chmod 600 "$T/secret"
	cp "$(command -v busybox)" "$T/own/program" && chmod 700 "$T/own/program"
	mkdir "$T/own/dir" && echo given >"$T/own/dir/file" && chmod 600 "$T/own/dir/file" && chmod 700 "$T/own/dir"
	record nothing true
	expect_status 1 "$CAPSULE" replay "$T/nothing.cap" -- sh -c 'cat /proc/self/uid_map /proc/self/gid_map; cat "$1" "$2"; cat /etc/shadow; echo END; exec sleep 0' sh "$T/secret" "$T/own/secret"
	grep -qx END "$T/out" || fail "it did not come to its end: $(cat "$T/out" "$T/err")"
	[ "$(head -n 2 "$T/out" | tr -s ' ' | sort -u)" = ' 0 65534 1' ] || fail "outside it is not nobody's: $(cat "$T/out")"
	! grep -E 'secret|root:' "$T/out" || fail "it read what only root may"
	expect_status 1 "$CAPSULE" replay --bind "$T/own/program:/usr/bin/busybox" --bind "$T/own/dir:/mnt" "$T/nothing.cap" -- /usr/bin/busybox sh -c 'cat /mnt/file; ls -ln /mnt/file; rm /mnt/file; echo END'
	grep -qx given "$T/out" && grep -qx END "$T/out" || fail "it does not see what it was given: $(cat "$T/out" "$T/err")"
	grep -q '^-rw------- *1 0 *0 ' "$T/out" || fail "whose it is: $(cat "$T/out")"
	[ "$(stat -c '%u %a' "$T/own/dir/file")" = '0 600' ] || fail "the host's file was changed"
	[ ! -e /run/capsule/0 ] || fail "something is left: $(ls /run/capsule)"
}

# A device node of the root file system is not opened, not by root's guest either.
# Of a machine whose root is the image a replay sees what belongs to the image, and where the program ran; no homes.
case_homes() {
	needs python3
	private_network
	mount -t tmpfs homes /home && mount -t tmpfs services /srv && mount -t tmpfs variable /var/tmp && mount -t tmpfs running /run
	chmod 755 /home /srv /run && chmod 1777 /var/tmp
	mkdir -p /home/alice/project /home/bob
	echo 'the secret of the host' | tee /home/alice/secret /home/bob/secret /srv/secret /var/tmp/secret >/home/alice/project/later
	# What it makes anywhere is made again, also where nothing is to be seen.
	cd /home/alice/project
	record makes python3 -c 'if True:
		import os, socket
		for path in "here", "../beside", "/var/tmp/new", "/srv/gone":
		    open(path, "w").write(path)
		os.unlink("/srv/gone")
		s = socket.socket(socket.AF_UNIX); s.bind("/run/own.sock"); s.listen()
		print(sorted(os.listdir("/run")), os.path.exists("/home/bob/none"), os.getcwd())'
	cd "$T"
	[ "$STATUS" -eq 0 ] || fail "$(cat "$T/makes.err")"
	rm /home/alice/project/here /home/alice/beside /var/tmp/new /run/own.sock
	replays_the_same makes
	# Changed code looks around.
	replay_once makes -- sh -c 'cat /home/alice/secret /home/bob/secret /srv/secret /var/tmp/secret; ls -A /home/alice /home/bob /srv; cat later; echo END'
	grep -q END "$T/makes.replay.out" || { why_not makes; fail "it did not come to its end"; }
	[ "$(grep -c 'secret of the host' "$T/makes.replay.out")" = 1 ] || fail "it sees, but for the directory in which it ran: $(cat "$T/makes.replay.out")"
	# Of what was listed and never read the capsule has the size: it is what it was, or zeros, and that is said.
	echo more >>/home/alice/project/later
	replay_once makes -- sh -c 'cat later; echo END'
	[ "$(tr -d '\0' <"$T/makes.replay.out")" = END ] || fail "$(cat "$T/makes.replay.out")"
	receipt makes miss_list | grep -q '/home/alice/project/later was read; the capsule has not its content' || { why_not makes; fail "it does not say so"; }
	# What is named to it on the command line is what it is to see, and a home is no directory of a program.
	replay_once makes -- cat /home/bob/secret
	grep -q 'secret of the host' "$T/makes.replay.out" || { why_not makes; fail "it does not see what it was given"; }
	cp /bin/ls /home/bob/list
	replay_once makes -- /home/bob/list /home/bob
	grep -qx list "$T/makes.replay.out" && ! grep -q secret "$T/makes.replay.out" || fail "$(cat "$T/makes.replay.out")"
}

case_device_nodes_of_the_image() {
	needs_recording
	needs busybox
	mkdir -p "$T/root/bin" "$T/root/usr/dev" "$T/root/srv" "$T/root/tmp"
	cp "$(command -v busybox)" "$T/root/bin/busybox"
	RECORD_OPTS="--rootfs $T/root" record d /bin/busybox true
	mknod -m 666 "$T/root/usr/dev/zero" c 1 5
	mknod -m 666 "$T/root/srv/zero" c 1 5
	expect_status 1 "$CAPSULE" replay --rootfs "$T/root" "$T/d.cap" -- /bin/busybox sh -c \
		'for f in /usr/dev/zero /srv/zero; do /bin/busybox head -c 1 $f >/dev/null 2>&1 && echo OUT; done; echo END'
	[ "$(cat "$T/out")" = END ] || fail "the guest opened a device node: $(cat "$T/out" "$T/err")"
}

# Where the supervisor looks for what the program should have left is something else.
case_planted_links() {
	mkdir "$T/d" && chmod 777 "$T/d"
	record out sh -c "echo result >$T/d/out"
	local plain=$CAPSULE target tool
	echo 'not yours' >"$T/secret" && chmod 600 "$T/secret"
	for target in /etc/hostname "$T/secret" /proc/1/mem /dev/zero /dev/tty /tmp/planted/fifo /tmp/planted/loop /proc/self/fd/0 "$T/d/out"; do
		for tool in "$plain" "$ASAN_CAPSULE"; do
			CAPSULE=$tool replay_once out -- "$BIN/escape" links "$T/d/out" "$target"
			[ "$REPLAY_STATUS" -eq 1 ] || { why_not out; fail "a link to $target: status $REPLAY_STATUS"; }
			grep -qF "file $T/d/out" "$T/out.replay.json" || grep -qF stdout "$T/out.replay.json" || fail "a link to $target is not told"
		done
	done
	[ "$(cat "$T/d/out" "$T/secret")" = 'result
not yours' ] || fail "the host's files were changed"
	! grep -q "$(printf '\033')" "$T/out.replay.json" "$T/out.replay.err" || fail "names that the guest made reach a terminal as they are"
}

limit_too_much=300
case_too_much() {
	local start=$SECONDS before
	record nothing true
	before=$(df --output=used "$T" | tail -n 1)
	LIMITS='--max-disk 48M' tries disk
	[ $(($(df --output=used "$T" | tail -n 1) - before)) -lt 100000 ] || fail "it filled the host's disk"
	LIMITS='--max-tasks 150' tries forkbomb
	grep -q 'max-tasks' "$T/nothing.replay.json" || fail "the receipt does not tell of the limit on tasks"
	LIMITS='--max-file 1M' tries bigfile
	tries fds
	replay_once nothing --max-memory 100M -- "$BIN/escape" memory
	grep -q 'more memory is taken than --max-memory allows' "$T/nothing.replay.json" || fail "memory: $(cat "$T/nothing.replay.err")"
	replay_once nothing --max-cpu 1 -- "$BIN/escape" cpu
	grep -q SIGKILL "$T/nothing.replay.json" || fail "processor time: $(cat "$T/nothing.replay.err")"
	replay_once nothing --timeout 2 -- "$BIN/escape" cpu
	grep -q 'still running' "$T/nothing.replay.json" || fail "time: $(cat "$T/nothing.replay.err")"
	[ $((SECONDS - start)) -lt 200 ] || fail "it took $((SECONDS - start)) s"
	expect_status 2 "$CAPSULE" replay --max-memory much "$T/nothing.cap"
	expect_status 2 "$CAPSULE" replay --max-tasks 0 "$T/nothing.cap"
	! pgrep -u nobody -x escape >/dev/null || fail "processes of the guests are left"
}

# Lies in the memory that it shares with the supervisor, memory that changes while it is read, and none at all.
limit_lies=200
case_lies() {
	tries shim
	tries shimfile
	tries races
}
