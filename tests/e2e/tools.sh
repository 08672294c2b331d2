# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Tools that start helpers of their own.

# gpg starts gpg-agent, which makes the key and stays; each looks into the other's sockets and files.  Its library mixes in what no recorder
# sees, RDRAND and the cycle counter's jitter, unless the machine's administrator says otherwise in /etc/gcrypt.
case_gpg_makes_a_key() {
	needs gpg gpg-agent
	private_network
	mkdir "$T/upper" "$T/work"
	mount -t overlay overlay -o "lowerdir=/etc,upperdir=$T/upper,workdir=$T/work" /etc || skip "no overlay over /etc"
	mkdir /etc/gcrypt
	printf '%s\n' only-urandom disable-jent >/etc/gcrypt/random.conf
	printf '%s\n' intel-rdrand intel-rdtsc >/etc/gcrypt/hwf.deny
	mkdir -m 700 "$T/gnupg"
	record gpg sh -c 'export GNUPGHOME="$1"
		gpg --batch --quiet --pinentry-mode loopback --passphrase "" --quick-generate-key "A Test <a@example.org>" ed25519 sign 1d || exit
		gpg --batch --quiet --armor --export a@example.org
		echo signed | gpg --batch --quiet --pinentry-mode loopback --passphrase "" --clearsign
		gpg --batch --list-keys --with-colons
		gpgconf --kill gpg-agent' sh "$T/gnupg"
	ended 0
	says gpg 'BEGIN PGP PUBLIC KEY'
	says gpg 'BEGIN PGP SIGNATURE'
	umount /etc
	take_away "$T/gnupg" "$T/upper"
	replays_the_same gpg
}
