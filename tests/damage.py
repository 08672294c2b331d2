#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""damage.py CAPSULE DIR: damaged copies of a whole capsule, each named after what was done to it.

Walks the file as capsule(5) says: a header of 16 bytes, then frames of 32 bytes (type, 0, bytes stored, bytes raw, the first
8 bytes of the SHA-256 of what precedes and the payload) and their payload.  "sealed" damage has its frame's sum made right again,
so that it is the next check that must find it.
"""
import hashlib
import random
import struct
import sys

whole, where = open(sys.argv[1], "rb").read(), sys.argv[2]
random.seed(1)


def put(name, data):
    with open(f"{where}/{name}.cap", "wb") as f:
        f.write(data)


def frames():
    at = 16
    while at < len(whole):
        kind, zero, stored, raw = struct.unpack_from("<IIQQ", whole, at)
        yield at, kind, stored, raw
        at += 32 + stored
    assert at == len(whole), "this is no whole capsule"


def seal(kind, stored, raw, payload):
    head = struct.pack("<IIQQ", kind, 0, stored, raw)
    return head + hashlib.sha256(head + payload).digest()[:8] + payload


def rle(total, size_field):
    """A zstd frame of @total zero bytes in RLE blocks, 4 bytes of file for 128 KiB of content (RFC 8878)."""
    out = struct.pack("<IB", 0xFD2FB528, 0xE0 if size_field is not None else 0x00)
    out += struct.pack("<Q", size_field) if size_field is not None else b"\x68"     # or a window of 8 MiB
    blocks = total // (128 << 10)
    block, last = (struct.pack("<I", (128 << 10) << 3 | 1 << 1 | end)[:3] + b"\0" for end in (0, 1))
    out += block * (blocks - 1) + last
    return out


all_frames = list(frames())
put("cut-0-empty", b"")
for i, (at, kind, stored, raw) in enumerate(all_frames):
    put(f"cut-boundary-{i}", whole[:at])
    put(f"cut-in-header-{i}", whole[:at + 16])
    put(f"cut-in-payload-{i}", whole[:at + 32 + stored // 2])
for i in range(30):
    put(f"cut-random-{i}", whole[:random.randrange(1, len(whole))])
for i in range(60):
    bit = random.randrange(len(whole) * 8)
    data = bytearray(whole)
    data[bit // 8] ^= 1 << bit % 8
    put(f"flip-{i}-at-{bit // 8}", data)
put("version-2", whole[:8] + struct.pack("<I", 2) + whole[12:])
put("version-huge", whole[:8] + struct.pack("<I", 0xffffffff) + whole[12:])
put("tail", whole + b"something behind the end")
put("twice", whole + whole)
put("text", b"#!/bin/sh\necho not a capsule\n")
put("magic-only", whole[:8])

for i, (at, kind, stored, raw) in enumerate(all_frames):
    before, after, payload = whole[:at], whole[at + 32 + stored:], whole[at + 32:at + 32 + stored]
    put(f"stored-2-63-{i}", before + struct.pack("<IIQQ", kind, 0, 1 << 63, raw) + whole[at + 24:])
    put(f"raw-2-63-{i}", before + struct.pack("<IIQQ", kind, 0, stored, 1 << 63) + whole[at + 24:])
    put(f"sealed-raw-2-63-{i}", before + seal(kind, stored, 1 << 63, payload) + after)
    put(f"sealed-raw-wrong-{i}", before + seal(kind, stored, raw + 1, payload) + after)
    put(f"sealed-kind-9-{i}", before + seal(9, stored, raw, payload) + after)
    put(f"sealed-garbage-{i}", before + seal(kind, stored, raw, bytes(random.randrange(256) for _ in range(stored))) + after)
    bomb = rle(1 << 34, None)
    put(f"sealed-bomb-hidden-{i}", before + seal(kind, len(bomb), 4 << 20, bomb) + after)
    bomb = rle(1 << 34, 4 << 20)
    put(f"sealed-bomb-lying-{i}", before + seal(kind, len(bomb), 4 << 20, bomb) + after)
    zeros = rle(4 << 20, 4 << 20)
    put(f"sealed-zeros-{i}", before + seal(kind, len(zeros), 4 << 20, zeros) + after)
    if i:
        put(f"without-frame-{i}", before + after)
