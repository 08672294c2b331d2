#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# vm.sh COMMAND [ARG...]: runs it as root in a virtual machine with the kernel of Debian's linux-image-amd64.  Its root file system is
# this one, seen through a tmpfs, so nothing that it does stays.  It prints what COMMAND prints, and ends with its status; 77: no kernel
# could be had.  VM_SECONDS: when to give up (900).  Without /dev/kvm the processor is an emulated one, ten times slower, which
# can what most machines for tests can't: programs may read their fs base, the cycle counter may trap.
set -eu -o pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
case ${O:=build} in /*) ;; *) O=$top/$O ;; esac
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
V=$O/vm
mkdir -p "$V"

# The kernel, unpacked and not installed: what boots this machine is none of our business.
kernel() {
	local package deb
	apt-cache show linux-image-amd64 >/dev/null 2>&1 || apt-get -qq update >/dev/null 2>&1 || :
	package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	[ -n "$package" ] || { echo "apt knows no linux-image-amd64"; exit 77; }
	release=${package#linux-image-}
	[ -e "$V/$release/boot/vmlinuz-$release" ] && return
	rm -rf "$V/$release" "$V/deb"
	mkdir "$V/deb"
	(cd "$V/deb" && apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null) || { echo "$package can't be fetched"; exit 77; }
	for deb in "$V"/deb/*.deb; do dpkg -x "$deb" "$V/$release"; done
	depmod -b "$V/$release" "$release"
	rm -rf "$V/deb"
}

# What it starts with: a shell that loads the drivers, and joins this root and a tmpfs.
initrd() {
	local dir=$V/initrd module n=10
	rm -rf "$dir"
	mkdir -p "$dir"/{bin,modules,root,proc,sys,dev,lower,upper}
	cp /bin/busybox "$dir/bin/"
	for n in sh mount insmod mkdir switch_root sed; do ln -s busybox "$dir/bin/$n"; done
	n=10
	for module in virtio_pci 9pnet_virtio 9p overlay; do
		modprobe -d "$V/$release" -S "$release" --show-depends "$module" | sed -n 's/^insmod //p'
	done | awk '!seen[$0]++' | while read -r module; do
		n=$((n + 1))
		cp "$module" "$dir/modules/$n-${module##*/}"
	done
	cat >"$dir/init" <<-'SH'
		#!/bin/sh
		mount -t proc p /proc && mount -t sysfs s /sys && mount -t devtmpfs d /dev
		for m in /modules/*; do insmod "$m"; done
		mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose root /lower
		mount -t tmpfs -o size=4g t /upper && mkdir /upper/u /upper/w
		mount -t overlay -o lowerdir=/lower,upperdir=/upper/u,workdir=/upper/w o /root
		script=$(sed -n 's/.*vm_script=\([^ ]*\).*/\1/p' /proc/cmdline)
		for d in dev proc sys; do mount --move /$d /root/$d; done
		exec switch_root /root /bin/sh "$script"
	SH
	chmod 755 "$dir/init"
	(cd "$dir" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$V/initrd.gz.$$"
	mv "$V/initrd.gz.$$" "$V/initrd.gz"
}

for n in qemu-system-x86_64 cpio depmod busybox; do command -v "$n" >/dev/null || { echo "$n is not installed"; exit 77; }; done
kernel
initrd
script=$(mktemp "$V/script.XXXXXX")
trap 'rm -f "$script" "$script.out"' EXIT
{
	echo 'for d in tmp run dev/pts dev/shm; do mkdir -p /$d; done'
	echo 'mount -t tmpfs t /tmp; mount -t tmpfs t /run; mount -t devpts p /dev/pts; mount -t tmpfs t /dev/shm'
	echo 'mount -t cgroup2 c /sys/fs/cgroup; ip link set lo up'
	printf 'export PATH=%q HOME=/root TERM=dumb O=%q\n' "$PATH" "$O"
	for n in REPLAYS REPLAY_SECONDS AGAIN LIMIT CI; do [ -z "${!n:-}" ] || printf 'export %s=%q\n' "$n" "${!n}"; done
	printf 'cd %q\necho "vm: runs"\n' "$PWD"
	printf '%q ' "$@"
	printf '\necho "vm: $?"\necho o >/proc/sysrq-trigger\nsleep 60\n'
} >"$script"

accel=tcg,thread=multi
[ ! -w /dev/kvm ] || accel=kvm
timeout "${VM_SECONDS:-900}" qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m 6g -nographic -no-reboot -net none \
	-kernel "$V/$release/boot/vmlinuz-$release" -initrd "$V/initrd.gz" \
	-append "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off vm_script=$script" \
	-virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap </dev/null 2>&1 |
	tr -d '\r' | tee "$script.out" | sed -n '/vm: runs$/,/^vm: [0-9]*$/{/vm: [r0-9]/!p}' || :
status=$(sed -n 's/^vm: \([0-9]*\)$/\1/p' "$script.out")
[ -n "$status" ] || { echo "the virtual machine did not come to the end of: $*"; tail -n 20 "$script.out"; exit 1; }
exit "$status"
