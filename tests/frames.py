#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks for words in every decompressed frame of a capsule: frames.py CAPSULE WORD... says which are there, and exits with 1 then.

A word is also looked for as it stands in JSON, in a URL and in base64. The file is read by capsule(5), with libzstd and nothing of ours.
"""
import base64, ctypes, json, struct, sys, urllib.parse

zstd = ctypes.CDLL('libzstd.so.1')
zstd.ZSTD_decompress.restype = ctypes.c_size_t


def frames(path):
    data = open(path, 'rb').read()
    assert data[:8] == b'CAPSULE\n'
    at = 16
    while at < len(data):
        kind, _, stored, raw, _ = struct.unpack_from('<IIQQQ', data, at)
        out = ctypes.create_string_buffer(raw)
        n = zstd.ZSTD_decompress(out, ctypes.c_size_t(raw), data[at + 32:at + 32 + stored], ctypes.c_size_t(stored))
        assert n == raw, (at, n, raw)
        yield out.raw
        at += 32 + stored


def forms(word):
    b = word.encode()
    yield b
    yield json.dumps(word)[1:-1].encode()
    yield urllib.parse.quote(word, safe='').encode()
    yield urllib.parse.quote_plus(word).encode()
    # whatever stands in front of it: the characters that only its own bits decide
    for k in range(3):
        coded = base64.b64encode(b'\0' * k + b)
        yield coded[(k * 8 + 5) // 6:(k + len(b)) * 8 // 6]


def main():
    everything = b''.join(frames(sys.argv[1]))
    found = [w for w in sys.argv[2:] if any(f in everything for f in forms(w))]
    for w in found:
        print('there is', w)
    return 1 if found else 0


sys.exit(main())
