"""The whole augmentation as one Triton kernel. Importing this file imports Triton; `fused.Fused` launches the kernel.

One program makes one image. The image stays in registers as one integer a pixel (red | green << 8 | blue << 16), so
that an operation that moves pixels moves three channels with one `tl.gather` through shared memory. Each function
repeats the arithmetic of the torch form that it names, in the same types and order; the launch forbids fused
multiply-adds.
"""

from typing import no_type_check

import triton
import triton.language as tl

from longtail.augment import operations, random, sampling

_GOLDEN = tl.constexpr(random.GOLDEN)
_CROP_Y, _CROP_X = tl.constexpr(sampling.CROP_Y), tl.constexpr(sampling.CROP_X)
_FLIP = tl.constexpr(sampling.FLIP)
_CUTOUT_Y, _CUTOUT_X = tl.constexpr(sampling.CUTOUT_Y), tl.constexpr(sampling.CUTOUT_X)
_GEOMETRY, _LOOKUP = tl.constexpr(operations.FAMILY["geometry"]), tl.constexpr(operations.FAMILY["lookup"])
_CONTRAST, _COLOR = tl.constexpr(operations.FAMILY["contrast"]), tl.constexpr(operations.FAMILY["color"])
_SHARPNESS = tl.constexpr(operations.FAMILY["sharpness"])
_AUTOCONTRAST = tl.constexpr(operations.FAMILY["autocontrast"])
_EQUALIZE = tl.constexpr(operations.FAMILY["equalize"])


@triton.jit
@no_type_check
def _mix(word):
    """`random._mix` in 32 bits, where products wrap as the mask does it there."""
    word = (word ^ (word >> 16)) * 0x21F0AAAD
    word = (word ^ (word >> 15)) * 0x735A2D97
    return word ^ (word >> 15)


@triton.jit
@no_type_check
def _draw(image_word, first, second, slot):
    """`random.draw_bits` of one image and slot, as int64."""
    slot_word = tl.cast(slot, tl.uint32) * _GOLDEN + first
    return _mix(_mix(image_word ^ slot_word) ^ second).to(tl.int64)


@triton.jit
@no_type_check
def _below(bits, limit):
    """`random.below`."""
    return ((bits * limit) >> 32).to(tl.int32)


@triton.jit
@no_type_check
def _channel(pixel, number):
    return (pixel >> (8 * number)) & 255


@triton.jit
@no_type_check
def _pack(red, green, blue):
    return red | (green << 8) | (blue << 16)


@triton.jit
@no_type_check
def _blend(low, high, factor):
    """`color.blend`."""
    low = low.to(tl.float32)
    value = low + factor * (high.to(tl.float32) - low)
    return tl.minimum(tl.maximum(value, 0.0), 255.0).to(tl.int32)


@triton.jit
@no_type_check
def _blend_all(low, pixel, factor):
    """`color.blend` of one `low` with the three channels."""
    red = _blend(low, _channel(pixel, 0), factor)
    green = _blend(low, _channel(pixel, 1), factor)
    return _pack(red, green, _blend(low, _channel(pixel, 2), factor))


@triton.jit
@no_type_check
def _grey(pixel):
    """`color.grey`."""
    weighted = _channel(pixel, 0) * 19595 + _channel(pixel, 1) * 38470 + _channel(pixel, 2) * 7471
    return (weighted + 32768) >> 16


@triton.jit
@no_type_check
def _look_up(pixel, table):
    """`color.look_up` with one table for the three channels."""
    red = tl.load(table + _channel(pixel, 0)).to(tl.int32)
    green = tl.load(table + _channel(pixel, 1)).to(tl.int32)
    return _pack(red, green, tl.load(table + _channel(pixel, 2)).to(tl.int32))


@triton.jit
@no_type_check
def _affine(pixel, y, x, coefficients, fill, H: tl.constexpr, W: tl.constexpr):
    """`geometry.affine`."""
    a, b, c = tl.load(coefficients), tl.load(coefficients + 1), tl.load(coefficients + 2)
    d, e, f = tl.load(coefficients + 3), tl.load(coefficients + 4), tl.load(coefficients + 5)
    source_x = (a * x + (b * y + c)) >> 16
    source_y = (d * x + (e * y + f)) >> 16
    near_x = tl.minimum(tl.maximum(source_x, 0), W - 1)
    near_y = tl.minimum(tl.maximum(source_y, 0), H - 1)
    moved = tl.gather(pixel, near_y * W + near_x, 0)
    return tl.where((near_x == source_x) & (near_y == source_y), moved, fill * 0x010101)


@triton.jit
@no_type_check
def _contrast(pixel, inside, factor, PIXELS: tl.constexpr):
    """`color.contrast`."""
    total = tl.sum(tl.where(inside, _grey(pixel), 0), 0)
    return _blend_all((2 * total + PIXELS) // (2 * PIXELS), pixel, factor)


@triton.jit
@no_type_check
def _sharpen(box, centre, factor):
    """Blend with the rounded thirteenth of the weighted sum: in whole numbers what `color.sharpness` rounds."""
    return _blend((2 * (box + 4 * centre) + 13) // 26, centre, factor)


@triton.jit
@no_type_check
def _sharpness(pixel, y, x, factor, H: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr):
    """`color.sharpness`: sums of red and blue share one integer."""
    place = tl.arange(0, BLOCK)
    above = tl.gather(pixel, tl.maximum(place - W, 0), 0)
    under = tl.gather(pixel, tl.minimum(place + W, BLOCK - 1), 0)
    before, after = tl.maximum(place - 1, 0), tl.minimum(place + 1, BLOCK - 1)
    both = (above & 0xFF00FF) + (pixel & 0xFF00FF) + (under & 0xFF00FF)
    both += tl.gather(both, before, 0) + tl.gather(both, after, 0)
    middle = _channel(above, 1) + _channel(pixel, 1) + _channel(under, 1)
    middle += tl.gather(middle, before, 0) + tl.gather(middle, after, 0)
    red = _sharpen(both & 0xFFFF, _channel(pixel, 0), factor)
    green = _sharpen(middle, _channel(pixel, 1), factor)
    blue = _sharpen(both >> 16, _channel(pixel, 2), factor)
    interior = (x > 0) & (x < W - 1) & (y > 0) & (y < H - 1)
    return tl.where(interior, _pack(red, green, blue), pixel)


@triton.jit
@no_type_check
def _stretch(value, inside):
    """`color.autocontrast` of one channel, in float64."""
    darkest = tl.min(tl.where(inside, value, 255), 0)
    lightest = tl.max(tl.where(inside, value, 0), 0)
    low = darkest.to(tl.float64)
    full = tl.full((), 255.0, tl.float64)
    scale = full / tl.maximum(lightest - darkest, 1).to(tl.float64)
    wide = value.to(tl.float64) * scale + -low * scale
    stretched = tl.minimum(tl.maximum(wide, 0.0), 255.0).to(tl.int32)
    return tl.where(lightest <= darkest, value, stretched)


@triton.jit
@no_type_check
def _flatten(value, inside, PIXELS: tl.constexpr, BLOCK: tl.constexpr):
    """`color.equalize` of one channel; lanes without a pixel are counted as black and taken off again."""
    level = tl.arange(0, 256)
    counts = tl.histogram(tl.where(inside, value, 0), 256) - tl.where(level == 0, BLOCK - PIXELS, 0)
    lightest = tl.max(tl.where(inside, value, 0), 0)
    step = (PIXELS - tl.sum(tl.where(level == lightest, counts, 0), 0)) // 255
    darker = tl.cumsum(counts, 0) - counts + step // 2
    table = tl.minimum(darker // tl.maximum(step, 1), 255)
    return tl.where(step == 0, value, tl.gather(table, value, 0))


@triton.jit
@no_type_check
def _read(images, image_word, first, second, y, x, inside, stride_c, stride_h, stride_w,
          CROP_PADDING: tl.constexpr, FLIP: tl.constexpr, H: tl.constexpr, W: tl.constexpr):  # fmt: skip
    """`geometry.affine` with `crop_flip` while reading: what lies outside is black."""
    if CROP_PADDING > 0:
        y += _below(_draw(image_word, first, second, _CROP_Y), 2 * CROP_PADDING + 1) - CROP_PADDING
        left = _below(_draw(image_word, first, second, _CROP_X), 2 * CROP_PADDING + 1) - CROP_PADDING
    else:
        left = 0
    if FLIP:
        mirror = _below(_draw(image_word, first, second, _FLIP), 2)
        x = (1 - 2 * mirror) * x + mirror * (W - 1)
    x += left
    there = inside & (x >= 0) & (x < W) & (y >= 0) & (y < H)
    source = images + y * stride_h + x * stride_w
    red = tl.load(source, mask=there, other=0).to(tl.int32)
    green = tl.load(source + stride_c, mask=there, other=0).to(tl.int32)
    blue = tl.load(source + stride_c + stride_c, mask=there, other=0).to(tl.int32)
    return _pack(red, green, blue)


@triton.jit
@no_type_check
def _cut_out(pixel, image_word, first, second, y, x, SIZE: tl.constexpr, H: tl.constexpr, W: tl.constexpr):
    """The black square of `Augment`'s cutout."""
    down = y - _below(_draw(image_word, first, second, _CUTOUT_Y), H) + SIZE // 2
    right = x - _below(_draw(image_word, first, second, _CUTOUT_X), W) + SIZE // 2
    return tl.where((down >= 0) & (down < SIZE) & (right >= 0) & (right < SIZE), 0, pixel)


@triton.jit
@no_type_check
def _choose(step, threshold, row, image_word, first, second):
    """`Step.rows` of one image; `step` points at choice_slot, own_slot, K and where the step's choices begin."""
    choice = _below(_draw(image_word, first, second, tl.load(step)), tl.load(step + 2)) + tl.load(step + 3)
    own_slot = tl.load(step + 1)
    applied = _draw(image_word, first, second, own_slot) < tl.load(threshold + choice)
    sign = _below(_draw(image_word, first, second, own_slot + 1), 2)
    return tl.load(row + 2 * choice + sign) * applied.to(tl.int32)


@triton.jit
@no_type_check
def augment_kernel(images, index, keys, out, step, threshold, row, family, coefficients, lookup, factor, fill,
                   normalized, stride_n, stride_c, stride_h, stride_w, H: tl.constexpr, W: tl.constexpr,
                   BLOCK: tl.constexpr, CROP_PADDING: tl.constexpr, FLIP: tl.constexpr, NUM_STEPS: tl.constexpr,
                   CUTOUT_SIZE: tl.constexpr):  # fmt: skip
    """Image `program` of the batch to its place in `out`; see `fused.Fused`."""
    program = tl.program_id(0).to(tl.int64)
    number = tl.load(index + program).to(tl.int64)
    first, second = tl.load(keys).to(tl.uint32), tl.load(keys + 1).to(tl.uint32)
    image_word = _mix(_mix(number.to(tl.uint32) ^ first) ^ second)
    place = tl.arange(0, BLOCK)
    y, x, inside = place // W, place % W, place < H * W
    images += program * stride_n
    pixel = _read(images, image_word, first, second, y, x, inside, stride_c, stride_h, stride_w,
                  CROP_PADDING, FLIP, H, W)  # fmt: skip
    for position in range(NUM_STEPS):
        operation = _choose(step + 4 * position, threshold, row, image_word, first, second)
        kind, strength = tl.load(family + operation), tl.load(factor + operation)
        if kind == _GEOMETRY:
            uncovered = tl.load(fill + operation).to(tl.int32)
            pixel = _affine(pixel, y, x, coefficients + 6 * operation, uncovered, H, W)
        elif kind == _LOOKUP:
            pixel = _look_up(pixel, lookup + 256 * operation)
        elif kind == _CONTRAST:
            pixel = _contrast(pixel, inside, strength, H * W)
        elif kind == _COLOR:
            pixel = _blend_all(_grey(pixel), pixel, strength)
        elif kind == _SHARPNESS:
            pixel = _sharpness(pixel, y, x, strength, H, W, BLOCK)
        elif kind == _AUTOCONTRAST:
            red, green = _stretch(_channel(pixel, 0), inside), _stretch(_channel(pixel, 1), inside)
            pixel = _pack(red, green, _stretch(_channel(pixel, 2), inside))
        elif kind == _EQUALIZE:
            red = _flatten(_channel(pixel, 0), inside, H * W, BLOCK)
            green = _flatten(_channel(pixel, 1), inside, H * W, BLOCK)
            pixel = _pack(red, green, _flatten(_channel(pixel, 2), inside, H * W, BLOCK))
    if CUTOUT_SIZE > 0:
        pixel = _cut_out(pixel, image_word, first, second, y, x, CUTOUT_SIZE, H, W)
    out += program * (3 * H * W) + place * 3
    for channel in tl.static_range(3):
        value = tl.load(normalized + 256 * channel + _channel(pixel, channel))
        tl.store(out + channel, value, mask=inside)
