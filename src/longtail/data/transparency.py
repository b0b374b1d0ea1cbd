"""Transparent images: they are read as they look on white, the background of pages and of most viewers."""

from PIL import Image


def is_transparent(image: Image.Image) -> bool:
    """Whether a decoded image lets its background through anywhere."""
    return _opacity(image) is not None


def on_white(image: Image.Image, rgb: Image.Image) -> Image.Image:
    """The RGB image on white, where it is transparent.

    Without this, what lies under transparent pixels would count, which no viewer shows: drawings in black on nothing
    are mostly black in all their pixels.

    Args:
        image: decoded, in its own mode.
        rgb: the same pixels in RGB, of 8 bits.
    """
    if (opacity := _opacity(image)) is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=opacity)
    return white


def _opacity(image: Image.Image) -> Image.Image | None:
    """How opaque each pixel is (mode L); None where all are, or none is, of which nothing would be left to see.

    A colour of 16 bits that stands for transparency is not looked for.
    """
    if image.has_transparency_data and image.mode in ("1", "L", "P", "PA", "RGB"):
        image = image.convert("RGBA")  # of a colour that stands for transparency too
    if not image.has_transparency_data or image.mode == "RGB":  # Lab has a band of the same name
        return None
    opacity = image.getchannel(image.getbands()[-1])
    least, most = opacity.getextrema()
    return None if least == 255 or most == 0 else opacity
