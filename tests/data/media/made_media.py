"""Pictures, sound and video with known contents, made for tests."""

import struct
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mainstem.core.errors import MainstemError
from mainstem.data.hearing import hearing

IIM_UTF8 = b"\x1b%G"
COLOURS = np.array([[220, 40, 40], [40, 200, 40], [40, 40, 220], [230, 220, 40]], np.uint8)


def quarters(height: int = 60, width: int = 80) -> np.ndarray:
    """uint8 (y, x, 3): red and green above, blue and yellow below."""
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 2 // width
    return COLOURS[rows[:, None] * 2 + columns[None]]


def save(path: Path, pixels: np.ndarray | None = None, **options: object) -> Path:
    Image.fromarray(quarters() if pixels is None else pixels).save(path, **options)
    return path


def iim(records: Sequence[tuple[int, int, bytes]]) -> bytes:
    """A Photoshop block with an IPTC-IIM resource, as JPEG's APP13 has it."""
    data = b"".join(
        b"\x1c" + bytes([record, number]) + struct.pack(">H", len(text)) + text for record, number, text in records
    )
    return b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


def with_segment(path: Path, marker: int, data: bytes) -> Path:
    """A JPEG with one more segment behind its first."""
    jpeg = path.read_bytes()
    first = 4 + struct.unpack(">H", jpeg[4:6])[0]
    path.write_bytes(jpeg[:first] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + jpeg[first:])
    return path


def packet(inner: str, attributes: str = "") -> bytes:
    """An XMP packet with a description."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:prism="http://prismstandard.org/namespaces/basic/3.0/"
 xmlns:tdm="http://www.w3.org/ns/tdmrep/" {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


def tone(path: Path, seconds: float = 1.0, rate: int = 16_000, channels: int = 1, hertz: float = 440.0) -> Path:
    """A WAV of 16 bits: a sine at half of full scale; a second channel is silent."""
    values = np.zeros((round(seconds * rate), channels), np.int16)
    values[:, 0] = np.round(16_384 * np.sin(2 * np.pi * hertz * np.arange(len(values)) / rate))
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(values.tobytes())
    return path


def film(
    path: Path, times_s: Sequence[float], size: tuple[int, int] = (80, 60), sound_s: float | None = None, **tags: str
) -> Path:
    """A video of one frame a time, of quarters with a corner that grows brighter; its silence begins at `sound_s`."""
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        heard = container.add_stream("aac", rate=16_000, layout="mono") if sound_s is not None else None
        for num, time_s in enumerate(times_s):
            pixels = quarters(size[1], size[0]).copy()
            pixels[: size[1] // 4, : size[0] // 4] = min(255, 8 * num)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if heard is not None:
            for num in range(max(1, int(16 * times_s[-1]))):
                block = np.zeros((1, 1000), np.float32)
                piece = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = (
                    16_000,
                    round(16_000 * sound_s) + num * 1000,
                    Fraction(1, 16_000),
                )
                container.mux(heard.encode(piece))
            container.mux(heard.encode(None))
    return path


def turned(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """An MP4 whose track says that it is to be shown turned (ISO/IEC 14496-12, 8.3.2: the matrix of its header)."""
    data = path.read_bytes()
    at = data.index(b"tkhd") + 44
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:at] + matrix + data[at + 36 :])
    return path


@contextmanager
def fine_or_one_line() -> Iterator[None]:
    """Damaged files may be read or refused; refused, they are told in one line."""
    try:
        with hearing():
            yield
    except MainstemError as error:
        if "\n" in str(error):
            raise AssertionError("several lines") from error
