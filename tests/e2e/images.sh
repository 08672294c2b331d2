# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Container images: recorded in, taken away, brought back under another name, replayed; found by digest, refused by digest.

# podman leaves mounts behind: in a namespace of the case's own they end with it.
needs_images() { needs podman skopeo umoci busybox; private_network; }

# podman with a store of the case's own; its run directory may have no more than 50 characters.
pod() { podman --root "$T/store" --runroot "$RUN/pod.$$" --storage-driver overlay --cgroup-manager=cgroupfs --runtime runc "$@"; }
pod_gone() { umount "$T/store/overlay" 2>/dev/null || :; rm -r "$T/store"; }
storage_conf() {
	printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$T/store" "$RUN/pod.$$" >"$T/storage.conf"
	export CONTAINERS_STORAGE_CONF=$T/storage.conf
}

# In the test's own cache, which an ordinary user of the replay has for himself.
own_cache() {
	export XDG_CACHE_HOME=$T/cache
	CACHE=$T/users-cache
	mkdir "$CACHE" && chown nobody "$CACHE"
}

# The layers are three: a shell, a static service, python with the modules that it needs.
make_context() {	# make_context DIR
	mkdir -p "$1/shell/bin" "$1/shell/etc" "$1/shell/var/lib/teller" "$1/service/srv" "$1/python"
	cp "$(command -v busybox)" "$1/shell/bin/busybox"
	ln -s busybox "$1/shell/bin/sh"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$1/shell/etc/passwd"
	echo 'app:x:1234:1234:app:/home/app:/bin/sh' >>"$1/shell/etc/passwd"
	printf 'root:x:0:\napp:x:1234:\nstaff:x:50:app\n' >"$1/shell/etc/group"
	cp "$BIN/teller-static" "$1/service/srv/teller"
	echo 'the words of the image' >"$1/service/srv/data"
	cat >"$1/service/srv/report.py" <<-'PY'
		import json, os, random, time, uuid
		print(json.dumps({"id": str(uuid.uuid4()), "at": time.time(), "dice": random.random(), "cwd": os.getcwd(), "home": os.environ["HOME"]}))
	PY
	python_tree "$1/python"
	cat >"$1/Dockerfile" <<-'D'
		FROM scratch
		COPY shell /
		COPY service /
		COPY python /
		ENV GREETING="hello there" PYTHONDONTWRITEBYTECODE=1
		USER app
		WORKDIR /srv
		EXPOSE 8080
		ENTRYPOINT ["/srv/teller"]
		CMD ["8080", "/srv/data", "/var/lib/teller/log", "python3", "/srv/report.py"]
	D
	chmod 755 "$1"/*/ && chmod 777 "$1/shell/var/lib/teller"
}

# Of the host's python what report.py imports, and the libraries for it.
python_tree() {
	local f to=$1
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -I -c 'if True:
		import json, os, random, time, uuid, sys, encodings.utf_8, encodings.ascii
		print(os.path.realpath(sys.executable))
		for m in list(sys.modules.values()):
		    if getattr(m, "__file__", None): print(m.__file__)' | sort -u >"$T/python.files"
	while read -r f; do
		echo "$f"
		ldd "$f" 2>/dev/null | grep -o '/[^ )]*' || :
	done <"$T/python.files" | sort -u | while read -r f; do install -D -m "$(stat -Lc %a "$f")" "$f" "$to$f"; done
	mkdir -p "$to/usr/bin"
	ln -s "$(basename "$(head -n 1 <(grep -m 1 /bin/ "$T/python.files"))")" "$to/usr/bin/python3"
}

build_image() {	# build_image DIR NAME
	pod build -q --isolation chroot -t "$2" "$1" >"$T/build.log" 2>&1 || fail "podman build: $(tail -n 5 "$T/build.log")"
}

ask() {	# ask PORT LINE...: the answers, on one connection
	python3 - "$@" <<-'PY'
		import socket, sys
		c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		f = c.makefile("rw")
		for line in sys.argv[2:]:
		    f.write(line + "\n"); f.flush()
		    print(f.readline(), end="")
	PY
}

# Records the image $1 as the service NAME while a client calls it.
record_service() {	# record_service NAME REF
	local port
	port=$(free_port)
	RECORD_OPTS="--image $2" serve "$1" "$port" /srv/data /var/lib/teller/log python3 /srv/report.py
	wait_for listens 127.0.0.1 "$port"
	ask "$port" time random read 'log one' 'log two' report time >"$T/$1.answers"
	ask "$port" random report end >>"$T/$1.answers"
	wait "$SERVING" || :
	SERVERS=()
	[ "$(cat "$T/$1.status")" = 0 ] || fail "the service ended with $(cat "$T/$1.status"): $(head -c 800 "$T/$1.err")"
	grep -q 'first the words of the image' "$T/$1.answers" || fail "it gave no answers: $(cat "$T/$1.answers")"
	grep -q '"home": "/home/app"' "$T/$1.answers" || fail "python did not run as the image says: $(cat "$T/$1.answers")"
	chmod 644 "$T/$1.cap"
}

limit_three_layers=400
case_three_layers() {
	needs_images
	needs python3
	own_cache
	storage_conf
	make_context "$T/context"
	build_image "$T/context" teller:1
	pod save -q --format docker-archive -o "$T/one.tar" teller:1 >/dev/null
	# the same to look at, another build
	gcc -O0 -static -o "$T/context/service/srv/teller" "$top/tests/programs/teller.c"
	build_image "$T/context" teller:2
	pod save -q --format oci-archive -o "$T/two.tar" teller:2 >/dev/null
	# and one that answers otherwise
	gcc -O1 -static -DBUILD='"second"' -o "$T/context/service/srv/teller" "$top/tests/programs/teller.c"
	build_image "$T/context" teller:3
	pod save -q --format oci-archive -o "$T/three.tar" teller:3 >/dev/null

	record_service svc containers-storage:localhost/teller:1
	"$CAPSULE" show "$T/svc.cap" >"$T/shown"
	grep -q '^image *containers-storage:localhost/teller:1' "$T/shown" || fail "show does not name the image: $(grep image "$T/shown")"
	[ "$(grep -c '^ *layer sha256:' "$T/shown")" -eq 3 ] || fail "show does not name three layers"
	grep -q '^files .* 0 in the capsule (0 B)' "$T/shown" || fail "what the image has is in the capsule, too: $(grep ^files "$T/shown")"

	# image and store are gone, an archive comes back under another name, in another form
	"$CAPSULE" images rm --all >/dev/null
	[ -z "$("$CAPSULE" images)" ] || fail "rm --all leaves something"
	pod_gone
	rm -r "$T/context"
	mkdir "$T/restored"
	skopeo copy -q "docker-archive:$T/one.tar" "oci:$T/restored/thing:renamed"
	rm "$T/one.tar"
	unset CONTAINERS_STORAGE_CONF
	replay_once svc
	[ "$REPLAY_STATUS" -eq 4 ] || fail "without the image it ended with $REPLAY_STATUS: $(cat "$T/svc.replay.err")"
	grep -q 'containers-storage:localhost/teller:1 (sha256:[0-9a-f]*) .* is not here; mend:' "$T/svc.replay.err" || fail "it does not say that the image is missing: $(cat "$T/svc.replay.err")"
	chmod -R a+rX "$T/restored"
	replays_the_same svc --images "$T/restored"
	rm -rf "$T/restored"
	replays_the_same svc	# from the user's cache

	# a patched build: in its place on purpose
	replays_the_same svc --image "oci-archive:$T/two.tar"
	grep -q 'the image: recorded sha256:' "$T/svc.replay.json" || fail "the receipt does not tell of the other image"
	replay_once svc --image "oci-archive:$T/three.tar"
	[ "$REPLAY_STATUS" -eq 1 ] || fail "another program ended with $REPLAY_STATUS, not as different"
	[ "$(receipt svc verdict)" = '"diverged"' ] || fail "another program's answers were not told"
}

# A small image of one layer, as an archive; build_small NAME DOCKERFILE-LINE...
build_small() {
	local name=$1
	shift
	mkdir -p "$T/small/bin"
	cp "$(command -v busybox)" "$T/small/bin/busybox"
	printf '%s\n' 'FROM scratch' 'COPY bin /bin' "$@" >"$T/small/Dockerfile"
	build_image "$T/small" "$name"
}

case_refused_by_digest() {
	needs_images
	own_cache
	storage_conf
	build_small app:1 'CMD ["/bin/busybox", "date", "+%N"]'
	pod save -q --format oci-archive -o "$T/app.tar" app:1 >/dev/null
	RECORD_OPTS="--image oci-archive:$T/app.tar" record app
	rm "$T/app.tar"
	build_small app:1 'ENV OTHER=1' 'RUN ["/bin/busybox", "touch", "/bin/new"]' 'CMD ["/bin/busybox", "date", "+%N"]'
	pod save -q --format oci-archive -o "$T/app.tar" app:1 >/dev/null
	chmod 644 "$T/app.tar"
	replay_once app
	[ "$REPLAY_STATUS" -eq 4 ] || fail "another image under the name of the recorded one: $REPLAY_STATUS"
	[ "$(grep -o 'sha256:[0-9a-f]\{64\}' "$T/app.replay.err" | sort -u | wc -l)" -eq 2 ] || fail "not both digests: $(cat "$T/app.replay.err")"
	grep -q 'mend: .*--image' "$T/app.replay.err" || fail "no mend: $(cat "$T/app.replay.err")"
	pod_gone
	"$CAPSULE" images rm --all >/dev/null
	expect_status 125 "$CAPSULE" check "$T/app.cap"
	replays_the_same app --image "oci-archive:$T/app.tar"
	grep -q '"changed": *1' "$T/app.replay.json" || grep -q 'the image: recorded' "$T/app.replay.json" || fail "the other image is not told"
}

# What the image's settings come to, beside podman.
limit_as_podman_would=240
case_as_podman_would() {
	needs_images
	own_cache
	storage_conf
	build_small as:1 'RUN ["/bin/busybox", "sh", "-c", "busybox() { /bin/busybox \"$@\"; }; busybox mkdir -p /etc /home/web; echo root:x:0:0::/root:/bin/sh >/etc/passwd; echo web:x:77:78::/home/web:/bin/sh >>/etc/passwd; echo site:x:99: >/etc/group; echo more:x:100:web >>/etc/group"]' \
		'ENV A=1 B="two words" HOME_OF=x' 'WORKDIR /made/by/podman' 'ENTRYPOINT ["/bin/busybox", "sh", "-c"]' 'CMD ["echo the command of the image"]'
	local user n=0 what='id; pwd; umask; env | grep -vE "^(HOSTNAME|TERM|container|SHLVL|_)=" | sort; echo "$0 $#"; busybox() { /bin/busybox "$@"; }; busybox grep Cap /proc/self/status | busybox grep -v Inh'
	for user in '' web 77 77:99 web:site root; do
		n=$((n + 1))
		printf '%s\n' 'FROM localhost/as:1' ${user:+"USER $user"} >"$T/small/Dockerfile"
		build_image "$T/small" "as:$n-user"
		pod run --rm --network=none --cap-drop=SYS_CHROOT --ulimit nofile=1024:1024 --ulimit nproc=100:100 "as:$n-user" "$what" >"$T/podman.out" 2>"$T/podman.err" ||
			fail "podman run: $(tail -n 3 "$T/podman.err")"
		RECORD_OPTS="--image containers-storage:localhost/as:$n-user" record "as$n" "$what"
		same_bytes "$T/podman.out" "$T/as$n.out" "user '$user'" || fail "it is not what podman makes of it: $(cat "$T/as$n.err")"
	done
	RECORD_OPTS="--image containers-storage:localhost/as:1" record own
	says own 'the command of the image'
	pod_gone
	CACHE=$XDG_CACHE_HOME && chmod -R a+rwX "$CACHE"
	REPLAYS=3 replays_the_same as4
	REPLAYS=3 replays_the_same own
}

# What is written in the image: new files, changed ones, removed ones, renamed ones.
case_files_of_the_image() {
	needs_images
	own_cache
	storage_conf
	build_small f:1 'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox mkdir -p /d/sub /usr/share /var/log /tmp; echo old >/d/changed; echo gone >/d/removed; echo moved >/d/from; echo kept >/d/kept; echo log >/var/log/it; /bin/busybox ln -s kept /d/link; /bin/busybox ln /d/kept /d/hard; /bin/busybox chmod 600 /d/kept"]' \
		'ENTRYPOINT ["/bin/busybox", "sh", "-c"]'
	# shellcheck disable=SC2016
	RECORD_OPTS="--image containers-storage:localhost/f:1" record f '
		cat() { /bin/busybox cat "$@"; }
		cat /d/changed; echo new >/d/changed; cat /d/changed
		cat /d/removed; /bin/busybox rm /d/removed; cat /d/removed
		/bin/busybox mv /d/from /d/sub/to; cat /d/sub/to /d/from
		/bin/busybox mv /d/sub/to /var/log/to; cat /var/log/to
		echo more >>/var/log/it; cat /var/log/it
		cat /d/link /d/hard /d/kept; echo through >/d/link; cat /d/kept
		echo made >/usr/share/made; cat /usr/share/made
		/bin/busybox mkdir /new; echo x >/new/x; /bin/busybox rm -r /d/sub
		/bin/busybox dd if=/dev/zero of=/tmp/sparse bs=1 count=1 seek=1000000 2>/dev/null; /bin/busybox stat -c "%s %a" /tmp/sparse
		/bin/busybox ls -la /d /new /tmp; /bin/busybox find /d /new /var | /bin/busybox sort'
	says f 'new'
	says f 'through'
	grep -q "can't open '/d/removed'" "$T/f.err" || fail "what was removed is there: $(cat "$T/f.err")"
	mkdir "$T/arch"
	skopeo copy -q containers-storage:localhost/f:1 "docker-archive:$T/arch/f.tar"
	pod_gone
	rm -rf "$XDG_CACHE_HOME"
	chmod -R a+rX "$T/arch"
	replays_the_same f --images "$T/arch"
	# root's replay, which is nobody's, reads what of the image only its root may
	expect_status 0 "$CAPSULE" replay -q --images "$T/arch" "$T/f.cap"
	same_bytes "$T/f.out" "$T/out" "root's replay" || fail "$(cat "$T/err")"
	"$CAPSULE" images >/dev/null
	(XDG_CACHE_HOME=$CACHE; expect_status 0 "$CAPSULE" images --verify; grep -q ': whole' "$T/out" || fail "the image was written to: $(cat "$T/out")")
}

# Every kind of reference leads to the same image.
limit_every_kind_of_store=240
case_every_kind_of_store() {
	needs_images
	needs docker-registry
	own_cache
	storage_conf
	local port ref n=0 digests
	build_small k:1 'CMD ["/bin/busybox", "echo", "the same"]'
	pod save -q --format docker-archive -o "$T/docker.tar" k:1 >/dev/null
	pod save -q --format oci-archive -o "$T/oci.tar" k:1 >/dev/null
	skopeo copy -q "oci-archive:$T/oci.tar" "oci:$T/layout:tagged"
	skopeo copy -q "oci-archive:$T/oci.tar" "oci:$T/single"
	port=$(free_port)
	mkdir "$T/registry"
	printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$T/registry" "$port" >"$T/registry.yml"
	start registry.log docker-registry serve "$T/registry.yml"
	wait_for listens 127.0.0.1 "$port"
	mount -t tmpfs tmpfs /etc/containers/registries.conf.d
	printf '[[registry]]\nlocation = "127.0.0.1:%s"\ninsecure = true\n' "$port" >/etc/containers/registries.conf.d/test.conf
	skopeo copy -q "oci-archive:$T/oci.tar" "docker://127.0.0.1:$port/a/name:3"
	for ref in "docker-archive:$T/docker.tar" "oci-archive:$T/oci.tar" "oci:$T/layout:tagged" "oci:$T/single" \
		containers-storage:localhost/k:1 "docker://127.0.0.1:$port/a/name:3"; do
		n=$((n + 1))
		"$CAPSULE" images rm --all >/dev/null
		RECORD_OPTS="--image $ref" record "k$n"
		same_bytes <(echo 'the same') "$T/k$n.out" "$ref" || fail "$(cat "$T/k$n.err")"
		[ "$(find "$T/cache/capsule/images" -maxdepth 1 -name '[0-9a-f]*' -type d | wc -l)" -eq 1 ] || fail "$ref left more than an image in the cache: $(ls "$T/cache/capsule/images")"
	done
	stop_servers
	# all have one config, so the image of each replays each
	digests=$(for n in 1 2 3 4 5 6; do "$CAPSULE" show "$T/k$n.cap" | grep -o 'config sha256:.*'; done | sort -u | wc -l)
	[ "$digests" -eq 1 ] || fail "the same image has $digests names"
	digests=$("$CAPSULE" show "$T/k1.cap" | grep -o 'manifest sha256:.*' | cut -d ' ' -f 2)
	rm -rf "$T/layout" "$T/single"
	pod_gone
	chmod a+r "$T"/*.tar
	REPLAYS=1 replays_the_same k6 --images "$T/oci.tar"
	for n in 1 2 3 4 5 6; do REPLAYS=1 replays_the_same "k$n"; done
	expect_status 4 env XDG_CACHE_HOME="$T/none" "$CAPSULE" replay --image "$digests" "$T/k1.cap"
	one_line 'not in the cache'
	expect_status 2 "$CAPSULE" replay --image "$T/oci.tar" "$T/k1.cap"
	one_line 'oci-archive:FILE'
	expect_status 4 "$CAPSULE" replay --image "oci-archive:$T/nothing.tar" "$T/k1.cap"
	one_line nothing.tar
	expect_status 125 "$CAPSULE" record --image "oci:$T/nothing" -- true
	one_line nothing
}

# Two processes that unpack one image at once share what one of them made.
case_two_at_once() {
	needs_images
	own_cache
	storage_conf
	build_small two:1 'CMD ["/bin/busybox", "date", "+%N"]'
	pod save -q --format oci-archive -o "$T/two.tar" two:1 >/dev/null
	RECORD_OPTS="--image oci-archive:$T/two.tar" record two
	chmod 644 "$T/two.tar"
	local i pids=()
	for i in 1 2 3 4 5; do
		(as_stranger "$CAPSULE" replay -q "$T/two.cap" >"$T/$i.out" 2>"$T/$i.err"; echo $? >"$T/$i.status") &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in 1 2 3 4 5; do
		[ "$(cat "$T/$i.status")" = 0 ] || fail "replay $i of five at once: $(cat "$T/$i.err")"
		same_bytes "$T/two.out" "$T/$i.out" "replay $i" || fail "it is not the same"
	done
	[ "$(find "$CACHE/capsule/images" -mindepth 1 -maxdepth 1 | wc -l)" -eq 2 ] || fail "something is left: $(ls -A "$CACHE/capsule/images")"
	# what a killed one left is in nobody's way
	(XDG_CACHE_HOME=$CACHE && "$CAPSULE" images rm --all) >/dev/null
	local hex
	hex=$("$CAPSULE" images --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["config"][7:])')
	mkdir -p "$CACHE/capsule/images/.new-$hex/rootfs/half" && chown -R nobody "$CACHE/capsule/images/.new-$hex"
	REPLAYS=1 replays_the_same two
	[ ! -e "$CACHE/capsule/images/.new-$hex" ] || fail "what the killed one left is still there"
}

case_the_cache() {
	needs_images
	own_cache
	storage_conf
	local a b digest
	build_small a:1 'CMD ["/bin/busybox", "sleep", "3"]'
	build_small b:1 'CMD ["/bin/busybox", "true"]'
	"$CAPSULE" record -q -o "$T/a.cap" --image containers-storage:localhost/a:1 -- /bin/busybox true
	"$CAPSULE" record -q -o "$T/b.cap" --image containers-storage:localhost/b:1
	"$CAPSULE" images --json >"$T/list"
	python3 - "$T/list" <<-'PY' || fail "the list is not right: $(cat "$T/list")"
		import json, sys, os
		l = json.load(open(sys.argv[1]))
		assert len(l) == 2 and {i["reference"] for i in l} == {"containers-storage:localhost/a:1", "containers-storage:localhost/b:1"}
		assert all(i["bytes"] > 100000 and i["files"] >= 3 and os.path.isdir(i["root"]) and len(i["layers"]) == 1 for i in l)
	PY
	of() { python3 -c 'import json, sys; print([i for i in json.load(open(sys.argv[1])) if i["reference"].endswith(sys.argv[2])][0][sys.argv[3]])' "$T/list" "$@"; }
	expect_status 0 "$CAPSULE" images --verify
	[ "$(grep -c ': whole$' "$T/out")" -eq 2 ] || fail "they are not whole: $(cat "$T/out")"

	# used just now, so none is old; then one is
	expect_status 0 "$CAPSULE" images rm --older 1d
	[ ! -s "$T/out" ] || fail "what was just used is removed: $(cat "$T/out")"
	digest=$(of a:1 config)
	touch -d '40 days ago' "$XDG_CACHE_HOME/capsule/images/${digest#sha256:}.lock"
	expect_status 0 "$CAPSULE" images rm --older 30d
	grep -q 'a:1: removed' "$T/out" || fail "the old one is still there: $(cat "$T/out")"
	"$CAPSULE" images | grep b:1 >/dev/null || fail "the other is gone, too"

	# in use it stays
	rm "$T/a.cap"
	"$CAPSULE" record -q -o "$T/a.cap" --image containers-storage:localhost/a:1 &
	a=$!
	wait_for test -s "$T/a.cap"
	expect_status 4 "$CAPSULE" images rm "${digest:0:20}"
	one_line 'in use'
	wait $a
	expect_status 0 "$CAPSULE" images rm "${digest:0:20}"
	expect_status 4 "$CAPSULE" images rm "${digest:0:20}"
	one_line 'no such image'

	# what was tampered with is told, by a replay too, and comes back
	b=$(of b:1 root)
	printf x | dd of="$b/bin/busybox" bs=1 seek=100000 conv=notrunc 2>/dev/null
	expect_status 1 "$CAPSULE" images --verify
	grep -q 'not what was unpacked' "$T/out" || fail "it was not noticed: $(cat "$T/out")"
	expect_status 4 "$CAPSULE" replay "$T/b.cap"
	one_line 'has changed'
	expect_status 0 "$CAPSULE" images rm --all
	expect_status 0 "$CAPSULE" replay -q --images "$T" "$T/b.cap"
	expect_status 2 "$CAPSULE" images rm
	expect_status 2 "$CAPSULE" images rm --older yesterday
}

# A layer that is not what the manifest says, an archive that is none, an image for another machine, tools that are missing.
case_bad_images() {
	needs_images
	own_cache
	storage_conf
	local blob
	build_small bad:1 'CMD ["/bin/busybox", "true"]'
	skopeo copy -q containers-storage:localhost/bad:1 "oci:$T/layout:x"
	RECORD_OPTS="--image oci:$T/layout:x" record good
	"$CAPSULE" images rm --all >/dev/null
	blob=$(find "$T/layout/blobs" -type f -size +100k)
	cp "$blob" "$T/blob"
	printf x | dd of="$blob" bs=1 seek=50000 conv=notrunc 2>/dev/null
	expect_status 125 "$CAPSULE" record -o "$T/x.cap" --image "oci:$T/layout:x"
	one_line "unpacking image 'oci:"
	[ ! -e "$T/x.cap" ] || fail "there is a capsule of nothing"
	[ "$(find "$XDG_CACHE_HOME/capsule/images" -type d | wc -l)" -eq 1 ] || fail "a half image is left: $(find "$XDG_CACHE_HOME/capsule/images")"
	expect_status 4 "$CAPSULE" replay "$T/good.cap"
	head -c 100000 /dev/urandom >"$T/noise.tar"
	expect_status 125 "$CAPSULE" record --image "docker-archive:$T/noise.tar"
	one_line noise.tar
	cp "$T/blob" "$blob"
	sed -i 's/"architecture":"amd64"/"architecture":"arm64"/' "$T"/layout/blobs/sha256/*
	expect_status 125 "$CAPSULE" record --image "oci:$T/layout:x"

	mkdir "$T/path"
	for blob in sh env; do ln -s "$(command -v $blob)" "$T/path/$blob"; done
	expect_status 125 env PATH="$T/path" "$CAPSULE" record --image "oci:$T/layout:x"
	one_line 'skopeo is not installed' 'apt-get install'
	expect_status 4 env PATH="$T/path" "$CAPSULE" replay "$T/good.cap"
	one_line 'skopeo is not installed' 'apt-get install'
	expect_status 125 "$CAPSULE" record --rootfs "$T" --image "oci:$T/layout:x"
	expect_status 4 "$CAPSULE" replay --rootfs "$T" --image "oci:$T/layout:x" "$T/good.cap"
	one_line 'one of the two'
}

# A rebuilt program in the recorded image, without an image of it; and check, verify and test take an image.
case_bind_and_prove() {
	needs_images
	own_cache
	storage_conf
	mkdir -p "$T/small/bin"
	printf '#!/bin/busybox sh\necho recorded; exit 3\n' >"$T/small/bin/prog" && chmod 755 "$T/small/bin/prog"
	build_small p:1 'CMD ["/bin/prog"]'
	RECORD_OPTS="--image containers-storage:localhost/p:1" record p
	ended 3
	printf '#!/bin/busybox sh\necho cured\n' >"$T/small/bin/prog"
	build_small p:2 'CMD ["/bin/prog"]'
	pod save -q --format oci-archive -o "$T/p2.tar" p:2 >/dev/null
	expect_status 1 "$CAPSULE" replay --bind "$T/small/bin/prog:/bin/prog" "$T/p.cap"
	grep -q cured "$T/out" || fail "the bound program did not run: $(cat "$T/out")"
	expect_status 0 "$CAPSULE" check --bind "$T/small/bin/prog:/bin/prog" "$T/p.cap"
	expect_status 1 "$CAPSULE" check "$T/p.cap"
	expect_status 0 "$CAPSULE" check --image "oci-archive:$T/p2.tar" "$T/p.cap"
	expect_status 1 "$CAPSULE" test "$T/p.cap"
	expect_status 0 "$CAPSULE" test --image "oci-archive:$T/p2.tar" "$T/p.cap"
	# the patch in the recorded image by the name of its archive; not in another one, where there is nothing to cure
	pod save -q --format oci-archive -o "$T/p1.tar" p:1 >/dev/null
	expect_status 0 "$CAPSULE" verify --image "oci-archive:$T/p1.tar" --patch "$T/small/bin/prog:/bin/prog" "$T/p.cap"
	grep -q '^proved: 1 cured' "$T/out" "$T/err" || fail "$(cat "$T/out" "$T/err")"
	expect_status 125 "$CAPSULE" verify --image "oci-archive:$T/p2.tar" --patch "$T/small/bin/prog:/bin/prog" "$T/p.cap"
}

# A program of an image: its first bad commit in that image and in another one, and its failure from less.
limit_bisect_and_minimize=240
case_bisect_and_minimize() {
	needs_images
	needs git
	own_cache
	storage_conf
	local n first
	git init -q "$T/repo"
	for n in 1 2 3 4 5; do
		printf '#!/bin/busybox sh\nwhile read -r word rest; do [ "$word" != bad ] || exit %d; done\necho commit %d\n' $((n > 3 ? 3 : 0)) $n >"$T/repo/prog"
		git -C "$T/repo" add prog
		git -C "$T/repo" -c user.name=a -c user.email=a@b commit -qm "commit $n"
	done
	first=$(git -C "$T/repo" rev-parse HEAD~1)
	mkdir -p "$T/small/bin"
	install -m 755 "$T/repo/prog" "$T/small/bin/prog"
	build_small b:1 'CMD ["/bin/prog"]'
	pod save -q --format oci-archive -o "$T/b1.tar" b:1 >/dev/null
	build_small b:2 'ENV OTHER=1' 'CMD ["/bin/prog"]'
	pod save -q --format oci-archive -o "$T/b2.tar" b:2 >/dev/null
	{ seq 20; echo bad; seq 20; } >"$T/b.in"
	RECORD_OPTS="--image containers-storage:localhost/b:1" record b
	ended 3
	pod_gone
	for n in 1 2; do
		expect_status 0 "$CAPSULE" bisect -q --no-cache --repo "$T/repo" --good HEAD~4 --build 'chmod 755 prog' --bind prog:/bin/prog --image "oci-archive:$T/b$n.tar" "$T/b.cap"
		grep -q "^first bad commit: $first" "$T/out" && grep -qF -- "--image oci-archive:$T/b$n.tar" "$T/out" || fail "in image $n that is not the first bad commit: $(cat "$T/out" "$T/err")"
	done
	expect_status 0 "$CAPSULE" minimize -o "$T/less.cap" --image "oci-archive:$T/b2.tar" "$T/b.cap"
	expect_status 1 "$CAPSULE" check --image "oci-archive:$T/b2.tar" "$T/less.cap"
	n=$("$CAPSULE" show --events "$T/less.cap" | sed -n 's/.*\] read(0.* = \([0-9]*\)$/\1/p' | paste -sd+ | sed 's/^$/0/')
	[ "$((n))" -lt 60 ] && [ "$((n))" -ge 4 ] || fail "of 106 bytes $((n)) are left"
}
