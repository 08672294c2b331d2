# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Container images: a replay with the image unpacked and not, beside podman; the cache and how fast it is hashed.  For run.sh.

pod() { podman --root "$D/store" --runroot "$D/pod" --storage-driver overlay --cgroup-manager=cgroupfs --runtime runc "$@"; }

build_bench_image() {
	mkdir -p "$D/image/bin"
	cp "$(command -v busybox)" "$D/image/bin/"
	head -c 100000000 /dev/urandom >"$D/image/data"
	printf 'FROM scratch\nCOPY bin /bin\nCOPY data /\nCMD ["/bin/busybox", "true"]\n' >"$D/image/Dockerfile"
	pod build -q --isolation chroot -t bench "$D/image" >/dev/null 2>&1
	pod save -q --format oci-archive -o "$D/bench.tar" bench >/dev/null
	chmod 644 "$D/bench.tar"
	mkdir -m 777 "$D/cache"
}

measure_images() {
	local i
	build_bench_image
	env XDG_CACHE_HOME="$D/roots" "$capsule" record -q -o "$D/image.cap" --image "oci-archive:$D/bench.tar"
	# The same program without an image.
	"$capsule" record -q -o "$D/bare.cap" -- "$D/image/bin/busybox" true
	chmod 644 "$D/image.cap" "$D/bare.cap"
	for i in 1 2 3; do
		rm -rf "$D/cache" && mkdir -m 777 "$D/cache"
		as_nobody env XDG_CACHE_HOME="$D/cache" "$spawn" 1 "$capsule" replay -q "$D/image.cap" | cut -d ' ' -f 1 >>"$D/image.cold"
	done
	for i in $(seq "$ROUNDS"); do
		as_nobody env XDG_CACHE_HOME="$D/cache" "$spawn" 20 "$capsule" replay -q "$D/image.cap" | cut -d ' ' -f 1 >>"$D/image.warm"
		as_nobody env XDG_CACHE_HOME="$D/cache" "$spawn" 20 "$capsule" replay -q "$D/bare.cap" | cut -d ' ' -f 1 >>"$D/image.bare"
		pod_run
		as_nobody env XDG_CACHE_HOME="$D/cache" "$spawn" 1 "$capsule" images --verify | cut -d ' ' -f 1 >>"$D/image.verify"
		"$spawn" 1 sha256sum "$D/image/data" | cut -d ' ' -f 1 >>"$D/image.sha256sum"
	done
	umount "$D/store/overlay" 2>/dev/null || :
}

pod_run() {
	"$spawn" 1 podman --root "$D/store" --runroot "$D/pod" --storage-driver overlay --cgroup-manager=cgroupfs --runtime runc \
		run --rm --network=none --ulimit nofile=1024:1024 --ulimit nproc=100:100 bench 2>/dev/null | cut -d ' ' -f 1 >>"$D/image.podman"
}

mb_per_s() { awk -v us="$1" 'BEGIN { printf "%.0f MB/s", 100 / (us / 1e6) }'; }

images_rows() {
	local warm bare
	warm=$(m image.warm) bare=$(m image.bare)
	row 'replay of `true` in an image, unpacked' "$(ms "$bare") (a replay without an image)" "$(ms "$warm") ($(less "$(awk -v a="$warm" 'BEGIN { print a / 1000 }')" "$(awk -v a="$bare" 'BEGIN { print a / 1000 }')") ms)" \
		"\`podman run\` of it: $(ms "$(m image.podman)")"
	row 'the same, to be unpacked first (100 MB)' '' "$(ms "$(m image.cold)")" "cache: $(mib "$(du -sk "$D/cache/capsule/images" | cut -f 1)"), archive: $(mib "$(du -k "$D/bench.tar" | cut -f 1)")"
	row 'hashing of an unpacked image' '' "$(mb_per_s "$(m image.verify)")" "\`sha256sum\`: $(mb_per_s "$(m image.sha256sum)")"
}
