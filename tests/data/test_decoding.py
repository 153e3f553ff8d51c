import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ravine.data.decoding import open_image, pixels_of, quiet_pillow, reading
from ravine.errors import DataError


def decode(encoded, channels=3, height=4, width=5):
    with quiet_pillow(), reading("x.png"):
        return pixels_of(open_image(encoded), channels, height, width)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def header_of(width, height):
    """A PNG that says it is of this size and holds nothing."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def test_pixels_are_the_encoded_ones_channels_first(encoded):
    pixels = np.asarray(Image.open(io.BytesIO(encoded(3, mode="RGB"))))
    assert np.array_equal(decode(encoded(3, mode="RGB")), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_of_eight_bits_is_read(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = saved(Image.new("RGB", (5, 4), (200, 10, 10)).convert(mode), kind)
    assert decode(image).shape == (3, 4, 5)
    assert decode(image, channels=1).shape == (1, 4, 5)


def test_a_photograph_taken_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_image(saved(Image.new("RGB", (8, 3)), "JPEG", exif=exif)).size == (3, 8)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[:60], "truncated"),
        (lambda _: b"hello", "not an image Pillow knows"),
        (lambda _: b"", "not an image Pillow knows"),
        (lambda _: header_of(10_000, 10_000), "decompression bomb"),  # Pillow only warns
        (lambda _: header_of(60_000, 60_000), "decompression bomb"),
        (lambda _: saved(Image.fromarray(np.zeros((4, 5), np.uint16))), "more than 8 bits"),
    ],
)
def test_a_damaged_image_is_refused_by_name(encoded, damage, said):
    with pytest.raises(DataError, match=f"^x.png: the image cannot be read .*{said}"):
        decode(damage(encoded(1, 50, 50)))
