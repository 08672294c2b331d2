# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The world has changed since the recording; and a replay that ought to differ must say so.

case_data_file_changed() {
	echo 'the old content' >"$T/data"
	record data cat "$T/data"
	echo 'something new, and longer' >"$T/data"
	replays_the_same data
	grep -q 'the old content' "$T/data.replay.out"
	rm "$T/data"
	replays_the_same data
}

# A small root file system of its own, with a library in it that then changes.
make_rootfs() {
	local lib
	mkdir -p "$T/root"/{bin,usr/bin,etc,tmp,dev,proc,sys,root}
	cp /usr/bin/openssl "$T/root/usr/bin/"
	for lib in $(ldd /usr/bin/openssl | grep -o '/[^ ]*'); do
		mkdir -p "$T/root/${lib%/*}"
		cp -L "$lib" "$T/root/$lib"
	done
	chmod -R go+rX "$T/root"
	LIBRARY=$(cd "$T/root" && find . -name 'libcrypto.so*' -type f | head -n 1)
	LIBRARY=${LIBRARY#.}
	[ -n "$LIBRARY" ] || skip "openssl is not linked with a libcrypto here"
}

case_library_changed() {
	needs openssl
	make_rootfs
	RECORD_OPTS="--rootfs $T/root" record lib /usr/bin/openssl rand -hex 8
	[ "$STATUS" -eq 0 ] || fail "status $STATUS: $(cat "$T/lib.err")"
	replays_the_same lib --rootfs "$T/root"

	local old new
	old=$(sha256sum <"$T/root$LIBRARY" | cut -c 1-64)
	printf 'x' >>"$T/root$LIBRARY"		# behind the ELF's end: it still loads
	new=$(sha256sum <"$T/root$LIBRARY" | cut -c 1-64)
	replay_once lib --rootfs "$T/root"
	[ "$REPLAY_STATUS" -eq 4 ] || { why_not lib; fail "a changed library was not refused with 4"; }
	local what
	for what in "${LIBRARY##*/}" "$old" "$new"; do
		grep -q -- "$what" "$T/lib.replay.err" || fail "the refusal does not name $what: $(cat "$T/lib.replay.err")"
	done
	[ ! -s "$T/lib.replay.out" ] || fail "the program ran all the same"

	REPLAY_STATUS=0
	(as_stranger "$CAPSULE" replay --allow-changed --rootfs "$T/root" "$T/lib.cap") >"$T/lib.replay.out" 2>"$T/lib.replay.err" || REPLAY_STATUS=$?
	[ "$REPLAY_STATUS" -le 1 ] || { why_not lib; fail "--allow-changed did not go on"; }
	same_bytes "$T/lib.out" "$T/lib.replay.out" stdout
	grep -qi 'changed' "$T/lib.replay.err" || fail "no note of the change in the verdict: $(cat "$T/lib.replay.err")"
}

case_library_gone() {
	needs openssl
	make_rootfs
	RECORD_OPTS="--rootfs $T/root" record lib /usr/bin/openssl rand -hex 8
	rm "$T/root$LIBRARY"
	replay_once lib --rootfs "$T/root"
	[ "$REPLAY_STATUS" -eq 4 ] || { why_not lib; fail "a missing library was not refused with 4"; }
	grep -q -- "${LIBRARY##*/}" "$T/lib.replay.err" || fail "the refusal does not name it"
}

case_server_answers_something_else() {
	start_peer fickle
	record fetch curl -sS "http://127.0.0.1:$PEER/"
	[ "$STATUS" -eq 0 ] || fail "curl ended with $STATUS"
	stop_servers
	start_peer text 'something else entirely'
	curl -sS "http://127.0.0.1:$PEER/" | grep -q 'something else entirely' || fail "the other server does not answer"
	local i
	for i in $(turns); do
		replay_once fetch
		check_replay fetch || fail "replay $i, with another server listening"
	done
	# And nothing came out of the sandbox: the server still waits for its second client only now.
	curl -sS "http://127.0.0.1:$PEER/" | grep -q 'something else entirely' || fail "the other server is gone"
}

# The number of a descriptor is the program's own affair, and in threads one of chance: what is polled is told by where it leads.
case_other_descriptors_polled() {
	needs python3
	start_nginx
	cat >"$T/poll.py" <<-'PY'
		import os, select, socket, sys, time
		for _ in range(int(sys.argv[1])): os.open("/dev/null", os.O_RDONLY)
		conns = [socket.create_connection(("127.0.0.1", int(sys.argv[2]))) for _ in range(2)]
		p = select.poll()
		for c in conns:
		    p.register(c, select.POLLIN)
		    c.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
		time.sleep(0.5)
		print(len(p.poll(5000)), "are ready")
		for c in conns: print(c.recv(65536))
	PY
	record poll python3 "$T/poll.py" 0 "$HTTP"
	ended 0
	says poll '2 are ready'
	replays_the_same poll -- python3 "$T/poll.py" 3 "$HTTP"
}

# Who waits for another thread is not helped by a word from outside.
case_threads_waited_for() {
	needs python3
	start_nginx
	cat >"$T/wait.py" <<-'PY'
		import os, select, socket, sys, threading
		n, port = int(sys.argv[1]), int(sys.argv[2])
		r, w = os.pipe()
		def other():
		    for _ in range(n): threading.Event().wait(0.2)
		    os.write(w, b"x")
		c = socket.create_connection(("127.0.0.1", port))
		t = threading.Thread(target=other)
		t.start()
		p = select.poll()
		p.register(r, select.POLLIN)
		if n > 1: p.poll()
		t.join()
		c.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
		print(c.recv(65536))
	PY
	record wait python3 "$T/wait.py" 1 "$HTTP"
	ended 0
	says wait '200 OK'
	replays_the_same wait -- python3 "$T/wait.py" 3 "$HTTP"
}

# ---- what must be noticed: each of these would pass a harness that compares nothing --------------

must_diverge() {	# must_diverge NAME [OPTION...]
	replay_once "$@"
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not "$1"; fail "this replay should have ended with 1"; }
	[ "$(receipt "$1" verdict)" = '"diverged"' ] || { why_not "$1"; fail "verdict"; }
	[ "$(receipt "$1" first_divergence)" != null ] || { why_not "$1"; fail "no first divergence"; }
	if check_replay "$1" >"$T/complaint"; then fail "the harness calls it the same"; fi
}

case_another_request_diverges() {
	start_nginx
	record ask curl -sS -H 'X-Word: one' "http://127.0.0.1:$HTTP/live"
	stop_servers
	must_diverge ask -- curl -sS -H 'X-Word: two' "http://127.0.0.1:$HTTP/live"
}

case_another_output_diverges() {
	record say sh -c 'echo one; exit 3'
	replays_the_same say
	must_diverge say -- sh -c 'echo two; exit 3'
	must_diverge say -- sh -c 'echo one; exit 4'
	must_diverge say -- sh -c 'echo one; echo more >&2; exit 3'
	must_diverge say -- sh -c 'exit 3'
}

case_another_file_diverges() {
	mkdir "$T/dir" && chmod 777 "$T/dir"
	record file sh -c "echo one >$T/dir/result"
	take_away "$T/dir"
	replays_the_same file
	must_diverge file -- sh -c "echo two >$T/dir/result"
}

case_altered_capsule_diverges() {
	start_peer fickle
	record fetch curl -sS "http://127.0.0.1:$PEER/"
	stop_servers
	cp "$T/fetch.cap" "$T/whole.cap"
	local how
	for how in in out; do
		"$BIN/alter" "$how" "$T/whole.cap" "$T/fetch.cap" || fail "could not alter the capsule"
		chmod 644 "$T/fetch.cap"
		must_diverge fetch
	done
	# Copied and not altered it is the same: so it was the byte, not the copying.
	cp "$T/whole.cap" "$T/fetch.cap"
	replay_once fetch
	check_replay fetch || fail "the unaltered capsule"
}

case_asking_for_more_is_a_miss() {
	record ask date +%N
	replay_once ask -- sh -c 'date +%N; date +%N; head -c 4 /dev/urandom | od -An -tx1'
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not ask; fail "status"; }
	[ "$(receipt ask misses)" -gt 0 ] || { why_not ask; fail "no miss was counted"; }
}
