import io

import numpy as np
import pytest
from PIL import Image

from longtail.data.audit.look import look
from longtail.data.images import decode, decode_box
from longtail.data.repairing import with_image

SAID = "transparent, read as on white"


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drawing(mode, colour):
    """8 x 8: a drawing in one colour on the left, nothing on the right, whose hidden pixels are black."""
    opacity = np.zeros((8, 8), dtype=np.uint8)
    opacity[:, :4] = 255
    image = Image.new("RGBA", (8, 8))
    image.paste(colour, (0, 0, 4, 8))
    image.putalpha(Image.fromarray(opacity))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF"), ("RGBA", "JPEG2000")],
)
def test_nothing_is_white(mode, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(drawing(mode, (10, 10, 10)), kind, **options)
    row = decode(data, 8)[0, 3].tolist()
    assert (row[:3], row[5:]) == ([10] * 3, [255] * 3)
    assert np.array_equal(decode_box(data, (0, 0, 8, 8), 8).numpy(), decode(data, 8))
    assert SAID in look(data).odd


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_transparent_colour_of_a_palette(kind):
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 200, 0, 0] + [0] * 762)
    image.putpixel((0, 0), 1)
    data = saved(image, kind, transparency=0)
    assert decode(data, 4)[:, 0, :2].T.tolist() == [[200, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize(("mode", "colour", "shown"), [("L", 7, [7] * 3), ("RGB", (7, 8, 9), [7, 8, 9])])
def test_a_colour_that_stands_for_transparency(mode, colour, shown):
    image = Image.new(mode, (4, 4), colour)
    image.putpixel((0, 0), 90 if mode == "L" else (90, 90, 90))
    data = saved(image, "PNG", transparency=90 if mode == "L" else (90, 90, 90))
    assert decode(data, 4)[:, 0, :2].T.tolist() == [[255] * 3, shown]
    assert SAID in look(data).odd


def test_half_transparent_pixels_are_halfway_to_white():
    image = Image.new("RGBA", (4, 4), (55, 155, 255, 255))
    image.putpixel((1, 0), (55, 155, 255, 102))
    assert decode(saved(image, "PNG"), 4)[:, 0, 1].tolist() == [175, 215, 255]


@pytest.mark.parametrize("opacity", [0, 255])
def test_where_all_or_nothing_could_be_seen_the_colours_are_kept(opacity):
    data = saved(Image.new("RGBA", (40, 40), (50, 60, 70, opacity)), "PNG")
    assert decode(data, 4)[:, 0, 0].tolist() == [50, 60, 70]
    assert look(data).odd == ()


def test_lab_has_no_transparency():
    image = Image.new("RGB", (40, 40), (40, 40, 200))
    image.putpixel((0, 0), (200, 40, 40))
    data = saved(image.convert("LAB"), "TIFF")
    assert np.abs(decode(data, 40)[:, 20, 20].astype(int) - (40, 40, 200)).max() < 8
    assert look(data).odd == ()


def test_drawings_of_one_colour_are_not_the_same():
    """In black on nothing, they differ in what is transparent alone."""
    shapes = [Image.new("L", (40, 40)) for _ in range(2)]
    for place, shape in enumerate(shapes):
        shape.paste(255, (5 + 9 * place, 5, 15 + 9 * place, 30))
    one, other = (
        saved(Image.merge("RGBA", (*[Image.new("L", (40, 40))] * 3, shape)), "PNG") for shape in shapes
    )
    assert look(one).pixels != look(other).pixels


def test_a_damaged_webp_keeps_its_transparency():
    exif = Image.Exif()
    exif[0x0112] = 1
    whole = saved(drawing("RGBA", (10, 10, 10)), "WEBP", quality=95, exif=exif)
    assert b"ALPH" in whole
    pixels, reading = with_image(whole[:-5], lambda opened, _: np.asarray(opened.convert("RGBA")))
    assert reading.said
    assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(whole)).convert("RGBA")))
