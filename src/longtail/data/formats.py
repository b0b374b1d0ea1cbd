"""Which files are images, by the endings of their names, and which of them can be decoded here.

Both are lists, not patterns: a new version of Pillow, with a format that runs a program or reads other files, adds
nothing here by itself.
"""

from importlib import import_module
from importlib.util import find_spec

from PIL import features

_ENDINGS = {  # Pillow's name of a format -> endings; TGA has no mark at its beginning, so it is tried last
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .mpo",
    "PNG": ".png .apng",
    "WEBP": ".webp",
    "TIFF": ".tif .tiff",
    "BMP": ".bmp",
    "DIB": ".dib",
    "GIF": ".gif",
    "PPM": ".ppm .pgm .pbm .pnm",
    "AVIF": ".avif",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "QOI": ".qoi",
    "PCX": ".pcx",
    "ICO": ".ico",
    "TGA": ".tga",
}
_FEATURES = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}  # what a build of Pillow may lack
_HEIF = ".heic .heif .hif"
_HEIF_READERS = (
    "pi_heif",
    "pillow_heif",
)  # the first is the extra; the second has an encoder too (x265, GPL)
_HEIF_REMEDY = "HEIC photographs; install longtail[heif], or convert them to JPEG"
_OTHERS = {  # what people keep among their images and nothing here decodes
    "camera raw; convert to JPEG, PNG or TIFF": ".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .orf .rw2 .raf "
    ".pef .srw .x3f .3fr .iiq .rwl .kdc .dcr .mrw .erf .mef",
    "JPEG XL; convert to JPEG or PNG": ".jxl",
    "JPEG XR; convert to JPEG or PNG": ".jxr .wdp .hdp",
    "drawings; export them as PNG": ".svg .svgz .eps .ps .ai .wmf .emf .pdf .cdr",
    "files of an image editor; export them as PNG or TIFF": ".psd .psb .xcf .kra .clip .afphoto .sketch",
    "high dynamic range; convert to 8 or 16 bits": ".exr .hdr .pfm",
    "scientific or medical images; convert to PNG or TIFF": ".dcm .dicom .nii .fits .fit .czi .nd2 .lif .lsm .vsi "
    ".svs .ndpi .mrxs .scn .mha .nrrd",
    "textures; convert to PNG": ".dds .ktx .ktx2 .blp",
    "videos; cut them into images": ".mp4 .m4v .mov .avi .mkv .webm .wmv .mpg .mpeg .mts .m2ts .3gp .flv .ogv",
}


def _decodable() -> dict[str, str]:
    known = {
        *features.modules,
        *features.codecs,
    }  # asking an older Pillow for a feature it does not know would warn
    lacking = {name for name, one in _FEATURES.items() if one not in known or not features.check(one)}
    return {name: endings for name, endings in _ENDINGS.items() if name not in lacking}


FORMATS = tuple(_decodable())
"""The formats that are decoded, by Pillow's names, in the order in which they are tried."""

heif_reader = next((name for name in _HEIF_READERS if find_spec(name)), None)
"""The module that reads HEIC, where it is installed."""

SUFFIXES = frozenset(" ".join([*_decodable().values(), _HEIF if heif_reader else ""]).split())
"""Endings of the files that are decoded, in lower case."""

UNDECODABLE = (
    {ending: why for why, endings in _OTHERS.items() for ending in endings.split()}
    | {
        ending: f"{name}, which this build of Pillow cannot read; install a newer Pillow, or convert to PNG"
        for name, endings in _ENDINGS.items()
        if name not in FORMATS
        for ending in endings.split()
    }
    | ({} if heif_reader else dict.fromkeys(_HEIF.split(), _HEIF_REMEDY))
)
"""Ending, in lower case, of files that hold images and are not decoded -> what they are; what to do."""

_MARKS = {
    b"8BPS": "a file of Photoshop, not decoded; export it as PNG or TIFF",
    b"%!PS": "a PostScript program, not an image",
    b"%PDF": "a PDF, not an image",
    b"<svg": "a drawing (SVG), not decoded; export it as PNG",
    b"\xff\x0a": "JPEG XL, not decoded; convert it to JPEG or PNG",
    b"\0\0\0\x0cJXL ": "JPEG XL, not decoded; convert it to JPEG or PNG",
    b"FUJIFILM": "camera raw, not decoded; convert it to JPEG or TIFF",
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def is_heif(data: bytes) -> bool:
    """Whether an encoded image is HEIC (HEIF), whatever its file is called; AVIF is not."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[8:64]


def use_heif() -> tuple[str, ...]:
    """Let Pillow open HEIC where it can be read, and say under which name."""
    if heif_reader is None:
        return ()
    import_module(heif_reader).register_heif_opener()
    return ("HEIF",)


def why_not(data: bytes) -> str | None:
    """What an encoded image is where its first bytes say that it is of a kind that is not decoded, else None.

    >>> why_not(b"%PDF-1.7")
    'a PDF, not an image'
    """
    if is_heif(data) and heif_reader is None:
        return "HEIC, not decoded; install longtail[heif], or convert it to JPEG"
    return next((what for mark, what in _MARKS.items() if data.startswith(mark)), None)
