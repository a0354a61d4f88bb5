"""High-throughput JPEG 2000: streams that OpenJPH 0.9 wrote, which no decoder asked here is made of, and known pixels.

Made by `ojph_compress -num_decomps 2` with `-reversible true`, `-reversible true -colour_trans true` and
`-reversible false -qstep 0.001`, of the pictures that `grey` and `colours` say.
"""

import base64

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from tests.data.medical.dicom_made import made_slice, written

from mainstem.core.errors import InputError
from mainstem.data.medical.deidentify_pixels import strip_jpeg_2000
from mainstem.data.medical.dicom_series import find_series

LOSSLESS, LOSSLESS_RPCL, LOSSY = (f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
GREY = """
/0//UQApQAAAAAAYAAAAEAAAAAAAAAAAAAAAGAAAABAAAAAAAAAAAAABCwEB/1AACAACAAAAB/9SAAwAAgABAAIEBEAB/1wACiBweHh4cHB4/2QAFgAB
T3BlbkpQSCBWZXIgMC45LjAu/5AACgAAAAABTwAB/5PAAXWA/z//O3zjO9JxVj19h70WcrAEeKM0jImiiEhA4KKmvL/o5hVpcjmCEIAAugDAALegAF0U
AAt4B8dP3TEGDN5jqaGX5j77+904Wv6BLhwV+jAsQ1oAB49zfMDTDhD4S6ynda2jb8ip95KhfxCkhCCUCH0w2ENaAB98/PMf/ukBf37Pr/vEXz/6yd/9
8osOCv0w2INZAMABd1AAXfQAC6dgsP9/AaeO88//f/jPf/7zP/98H3ACh/9+85//fd//fMd//2DB8yAYGKZskHxUYnMQCmWEYEJRAnUB/v7tv/93H/zr
P/w3/3gf/ve//gD6+0d/+zeA/QeA+AeAAAiAAAAQAID8wIL3LlEAgHz8Yp6nOBzLMMCWVQH+/z//e3//c/9/93/+7/9/+5//f7/8wQFBM0KSlCWmMAXL
MUBWUgH/2Q==
"""
COLOURS = """
/0//UQAvQAAAAAAYAAAAEAAAAAAAAAAAAAAAGAAAABAAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAABP9SAAwAAgABAQIEBEAB/1wACiBYYGBgWFhg
/2QAFgABT3BlbkpQSCBWZXIgMC45LjAu/5AACgAAAAABegAB/5PAC3z/b9ev1/9w+X2x9cs8ZJ+Xi8nDFhP+KUZwgAAA0bkAwAtoz/v5vj9+fjPrH+mD
evF+4uH0ABRjQImNWADAC6D+0/X5vN8/v5kZ/pCuQF64A/QDlXnwAAwGOMNQRNS6AMAFTABWQATgpJgb/cwewnUAkNRdTPLgCJfJ7LcARQDoAhXFAMAF
VABXQAVYK0vDLcyEsAFWAEAIDcCjWfvhgmCJ7LcAUAFGCvjgMc7OlgDABUQAVoBrrfXacAJ1AEbDMAzj4Aj2EIHsuADAC0IAWtABXoB0ZrfXHQfz4JBB
w6dCeQCHtYBEetbzwIH/AAQjCSe/aXssAL0ADz4P+MH/AAM1NlKWYnoAwAtKAFsQAVzz+x++9+v7CAzz9J8Gi+HxWQAfXpaLqZfX1s/8Uf3/AIFDye86
c5RAvAC/v19/f8D/CAZqGEJ4AMAKyAFogDMzMzPz8Kenp8J4AN7d3d3d3f8cnv3ye/fJ7LsA/9k=
"""
LOSSY_GREY = """
/0//UQApQAAAAAAYAAAAEAAAAAAAAAAAAAAAGAAAABAAAAAAAAAAAAABCwEB/1AACAACAAAAJP9SAAwAAgABAAIEBEAA/1wAESJv5mA1YDVgeFgaWBpn
v/9kABYAAU9wZW5KUEggVmVyIDAuOS4wLv+QAAoAAAAAAZ8AAf+TwALqwHWdd6UKuHI5nXuYBB0zCV20wIblxIF+Z5is6cQNUkdT+wFVcjmCDIAAugDA
BbsAF00AF0CmALQ0HQlHY4PFax72xixF7AjA8Al1cREFiRGZABxXgtWlVeODDqcAN4KNd9iw5c5iW9sFAXgN0dEhQQK9KEDERHoAhQcDS8ZDuwybRZDc
9orOdzEkow5RKf4AwVokCAFTWQDAC9OgBeswAXooqlTckvYXNkGAfrDZRbo1A8RKZIgk1QoUcll5JgCgImAYoHgS0aLrrFJoUH8IouFCQMeQuO5yC0wg
AAUig4GIqvkt+MAEoc2lvwClC3kBnJmZmZk54C8jsww5gokTWDok9IEdq7g1TsUQZFIKUlhIrhaoETDhYyAnRR1z618QYrHCBB10KKDGRF1RV9QV9Q0A
EC5FexdHBx4QLAIAGEQ5ypS1WtVqOQGCc9wDIGJYCIQD5fc48C3IcSAUPCWcGjgGWJ3xwMAcACVg2FIexk8xEJ8TxgEMAPIASwAgh9MAAA48AS5HBC8A
VpQjVgH/2Q==
"""
Y, X = np.indices((16, 24))


def grey() -> np.ndarray:
    return ((Y * 257 + X * 113) % 4096).astype(np.uint16)


def colours() -> np.ndarray:
    return np.stack([Y * 16 % 256, X * 10 % 256, X * Y % 256], -1)


def frame(folder, stream: bytes, syntax: str, is_colour: bool = False) -> np.ndarray:
    """What the reader makes of a stream in a file."""
    image = made_slice(grey())
    if is_colour:
        image.SamplesPerPixel, image.PlanarConfiguration, image.PhotometricInterpretation = 3, 0, "YBR_RCT"
        image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    else:
        image.BitsStored, image.HighBit = 12, 11
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([stream])
    image["PixelData"].is_undefined_length = True
    found = find_series(written(folder, [image]))
    return found.series[0].stored(0)


@pytest.mark.parametrize("strip", [bytes, strip_jpeg_2000])
def test_what_another_encoder_wrote_is_read_bit_exact(tmp_path, strip):
    """Also without what de-identification takes out of a stream."""
    assert b"OpenJPH" not in strip_jpeg_2000(base64.b64decode(GREY))
    stream, coloured = (strip(base64.b64decode(text)) for text in (GREY, COLOURS))
    for syntax in (LOSSLESS, LOSSLESS_RPCL, LOSSY):  # the last may be either
        np.testing.assert_array_equal(frame(tmp_path / syntax, stream, syntax), grey())
    np.testing.assert_array_equal(frame(tmp_path / "colour", coloured, LOSSLESS, is_colour=True), colours())


def test_a_lossy_stream_is_as_near_as_its_steps(tmp_path):
    off = frame(tmp_path / "a", base64.b64decode(LOSSY_GREY), LOSSY).astype(int) - grey()
    assert np.abs(off).max() <= 0.001 * 4096


def test_a_stream_of_another_size_than_the_header_is_refused(tmp_path):
    stream = bytearray(base64.b64decode(GREY))
    at = stream.index(b"\xff\x51") + 6  # Xsiz, ISO 15444-1 A.5.1
    stream[at : at + 4] = (1 << 20).to_bytes(4)
    with pytest.raises(InputError, match="its JPEG 2000 is 16 x 1048576"):
        frame(tmp_path / "a", bytes(stream), LOSSLESS)
