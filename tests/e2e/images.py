# SPDX-License-Identifier: MIT
"""Images as `xl save` writes them, made by hand: valid to Xen's own verify-stream-v2."""

import struct

from migration import record

PAGE = 4096
END = bytes(8)


def xl_header(optional=b"{}\0", mandatory=3):
    """@optional: the domain's configuration."""
    data = struct.pack("<I", len(optional)) + optional
    return (b"Xen saved domain, xl format\n \0 \r" +
            struct.pack("<4I", 0x01020304, mandatory, 0, len(data)) + data)


def pages(count, first=0):
    """PAGE_DATA of that many pages, each filled with an octet of its own."""
    return record(struct.pack("<II", count, 0) +
                  struct.pack(f"<{count}Q", *range(first, first + count)) +
                  b"".join(bytes([(first + i) % 256]) * PAGE for i in range(count)), 1)


def libxc(*records):
    """LIBXC_CONTEXT, and libxc's stream of an HVM guest."""
    return (record(b"", 1) +
            struct.pack(">QIIHHI", 2**64 - 1, 0x58454e46, 3, 0, 0, 0) +
            struct.pack("<IHHII", 2, 12, 0, 4, 17) + record(b"", 0x10) + b"".join(records) +
            record(struct.pack("<IIQII", 0, 2000000, 1, 1, 0), 8) +
            record(struct.pack("<IIQQ", 1, 0, 1, 5), 0xa) + record(b"x" * 13, 9) + END)


def emulator(body=b"qemu", index=0):
    return (record(struct.pack("<II", 2, index), 2) +
            record(struct.pack("<II", 2, index) + body, 3))


def begin(*records):
    """All but END."""
    return (xl_header() + b"LibxlFmt" + struct.pack(">II", 2, 0) + libxc(*records) + emulator())


def image(*records):
    return begin(*records) + END


def giant(path, octets, records):
    """A file, most of it a hole: an image with @records records of @octets octets each."""
    whole = begin()
    at = whole.index(record(b"", 0x10)) + 8  # among libxc's records
    with open(path, "wb") as file:
        file.write(whole[:at])
        for number in range(records):
            file.write(struct.pack("<III", 1, octets, number))
            file.seek(octets - 4 + -octets % 8, 1)
        file.write(whole[at:] + END)
    return path
