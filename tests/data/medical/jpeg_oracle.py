"""A decoder of sequential grey JPEG of 8 or 12 bits, written from ITU-T T.81 alone: an oracle, slow and plain."""

from collections.abc import Callable, Iterator

import numpy as np


def segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Markers up to the first scan, their bodies, and where the next begins."""
    at = 2
    while True:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at + 4 : at + 2 + length], at + 2 + length
        if data[at + 1] == 0xDA:
            return
        at += 2 + length


def zigzag() -> list[int]:
    """T.81 figure A.6."""
    order = []
    for total in range(15):
        diagonal = [8 * row + total - row for row in range(8) if 0 <= total - row < 8]
        order += diagonal if total % 2 else diagonal[::-1]
    return order


def huffman(body: bytes) -> dict[int, dict[tuple[int, int], int]]:
    """Tables by class and destination, from length and code to symbol; T.81 annex C."""
    tables: dict[int, dict[tuple[int, int], int]] = {}
    at = 0
    while at < len(body):
        counts, code, table, used = body[at + 1 : at + 17], 0, {}, at + 17
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                table[length, code] = body[used]
                code, used = code + 1, used + 1
            code <<= 1
        tables[body[at]], at = table, used
    return tables


def decode_sequential(data: bytes) -> np.ndarray:
    """Pixels (row, column) of one component, no restart intervals."""
    steps, tables = {}, {}
    for marker, body, end in segments(data):
        if marker == 0xDB:
            wide, kind = body[0] >> 4, body[0] & 15
            steps[kind] = np.frombuffer(body[1 : 65 + 64 * wide], ">u2" if wide else "u1").astype(float)
        elif marker == 0xC4:
            tables |= huffman(body)
        elif marker in (0xC0, 0xC1):
            bits, rows, columns = body[0], int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            step = body[8]
        elif marker == 0xDA:
            dc, ac, begin = tables[body[2] >> 4], tables[0x10 | body[2] & 15], end
    packed = data[begin : data.rindex(b"\xff\xd9")].replace(b"\xff\x00", b"\xff")
    symbol, number = reader("".join(f"{byte:08b}" for byte in packed))
    wave = np.sqrt(2 / 8) * np.cos((2 * np.arange(8)[None] + 1) * np.arange(8)[:, None] * np.pi / 16)
    wave[0] /= np.sqrt(2)
    order, level = zigzag(), 0
    out = np.zeros((-(-rows // 8) * 8, -(-columns // 8) * 8))
    for row in range(0, rows, 8):
        for column in range(0, columns, 8):
            block, at = np.zeros(64), 1
            level += number(symbol(dc))
            block[0] = level
            while at < 64:
                run, size = divmod(symbol(ac), 16)
                if not size and run < 15:
                    break
                at += run
                block[at], at = (number(size), at + 1) if size else (0, at + 1)
            plain = np.zeros(64)
            plain[order] = block * steps[step]
            out[row : row + 8, column : column + 8] = wave.T @ plain.reshape(8, 8) @ wave
    return np.clip(np.rint(out + 2 ** (bits - 1)), 0, 2**bits - 1)[:rows, :columns]


def reader(bits: str) -> tuple[Callable[[dict[tuple[int, int], int]], int], Callable[[int], int]]:
    """Functions that take the next Huffman symbol, and the next number of so many bits (T.81 F.2.2.1)."""
    at = 0

    def symbol(table: dict[tuple[int, int], int]) -> int:
        nonlocal at
        code = 0
        for length in range(1, 17):
            code, at = code << 1 | (bits[at] == "1"), at + 1
            if (length, code) in table:
                return table[length, code]
        raise ValueError("no such code")

    def number(size: int) -> int:
        nonlocal at
        if not size:
            return 0
        value, at = int(bits[at : at + size], 2), at + size
        return value if value >> (size - 1) else value - (1 << size) + 1

    return symbol, number
