"""PNG and JPEG radiographs: a file's bytes become greys, upright, in the range that the file uses.

Owns 16-bit samples of every colour type, the bits that they use, and orientation by EXIF. Transparency and
gamma are left out of account with a note: a radiograph has neither. Refuses animations, and a JPEG that
libjpeg warns of. Pillow reads the files.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from timnet.counting import counted
from timnet.films import jpeg_damage
from timnet.films.film import INVERTED, FilmError, Greys, Kind, check_size, guarded, silent

HOT, LEAST_HOT = 1e-4, 4
"""Share of a film's pixels, and their number in a small one, that may lie above the bits the others use."""
MARKED = 0.01
"""The same share where all of these have one value, as a marker that was drawn has."""
_CHUNKS_THAT_WARN = (b"acTL", b"eXIf", b"Raw profile")
_ORIENTATION = 0x0112
# EXIF 2.32, tag Orientation: what turns each into 1, the upright image.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, kind: Kind, name: str, invert: bool = False) -> Greys:
    """Decode a PNG or JPEG to greys in [0, 1], upright.

    Raises:
        FilmError: an animation, too large, or damaged.
    """
    with guarded(name, "the file"):
        with silent():
            # The plugin's class, not Image.open: no other format can be reached, multi-picture JPEG included,
            # and Pillow's own size limit, which is the whole process's, need not be changed.
            image = (PngImageFile if kind == "png" else JpegImageFile)(io.BytesIO(data))
            check_size(name, image.height, image.width)
            if getattr(image, "is_animated", False):
                raise FilmError(name, "expected one image, got an animation")
            # Asking a PNG for its EXIF decodes it: done here, one at a time, only where a chunk might warn.
            has_remarks = kind == "jpeg" or any(chunk in data for chunk in _CHUNKS_THAT_WARN)
            orientation = image.getexif().get(_ORIENTATION, 1) if has_remarks else 1
        damaged: tuple[str, ...] = ()
        stored: np.ndarray | None = None
        if kind == "jpeg":
            colours = {"L": "GRAY", "RGB": "RGB"}.get(image.mode, "CMYK")
            stored = strict_jpeg(data, name, "the file", colours)
            if jpeg_damage.suspected(data, stored, colours):
                damaged = (jpeg_damage.NOTE,)
            # What Adobe calls CMYK is inverted: Pillow knows.
            stored = None if colours == "CMYK" else stored
        if image.palette and np.asarray(image).max() >= len(image.palette.palette) // 3:
            raise FilmError(name, "the file is damaged: its palette lacks some of the image's colours")
        greys = _grey(image, data, data[24] if kind == "png" else 8, orientation, stored)
        greys = replace(greys, notes=(*damaged, *greys.notes))
        if invert:
            return replace(greys, pixels=1 - greys.pixels, notes=(*greys.notes, INVERTED))
        return greys


def strict_jpeg(data: bytes, name: str, what: str, colours: str) -> np.ndarray:
    """Decode a JPEG of 8 bits a sample, uint8 (rows, columns, channels), if libjpeg has no warning.

    Pillow hides warnings, and reads damaged pixels as good ones.

    Args:
        data: the JPEG stream.
        name: of the file, and `what` of it this is, for messages.
        colours: GRAY, RGB or CMYK, as the stream has them.
    """
    # Imported here: a cohort of PNG files does without.
    import simplejpeg

    try:
        return simplejpeg.decode_jpeg(data, colours, strict=True)
    except ValueError as error:
        said = " ".join(str(error).split())[:100]
        raise FilmError(name, f"{what} is cut short or damaged ({said})") from None


def _grey(
    image: Image.Image, data: bytes, depth: int, orientation: int, stored: np.ndarray | None = None
) -> Greys:
    """Return upright luminance in [0, 1]: the full range of 8 bits, or of the bits that 16-bit data use.

    Args:
        image, data: the file, and its bytes.
        depth: bits of a sample.
        orientation: EXIF's.
        stored: the samples (rows, columns, channels), where they are decoded already.
    """
    notes = []
    if image.has_transparency_data:
        # A radiograph has none: what an editor hides is still part of the film.
        notes.append("transparency in the file left out of account")
    gamma = image.info.get("gamma")
    if gamma and abs(gamma - 1 / 2.2) > 0.01:
        notes.append(f"gamma {gamma:g} of the file not applied")
    if depth > 8:
        colour = _sixteen_bits(image, data)
    elif stored is not None:
        colour = stored
    else:
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGBA"):
            image = image.convert("RGB")  # CMYK, YCbCr
        elif image.mode in ("P", "PA"):
            image = image.convert("RGBA")
        colour = np.asarray(image.convert("L") if image.mode == "1" else image)
        colour = colour.reshape(*colour.shape[:2], -1)
    channels = colour.shape[2] - (colour.shape[2] in (2, 4))  # without the opacity
    grey = colour[..., 0]
    if channels == 3 and (colour[..., :3] != colour[..., :1]).any():
        notes.append("colour reduced to its luminance")
        grey = np.rint(colour[..., :3] @ np.array([0.299, 0.587, 0.114]))  # ITU-R BT.601
    top, said = 255, ""
    if depth > 8:
        top, said = _range(grey)
        notes.append(f"{depth}-bit file, {said}")
    pixels = np.divide(grey, np.float32(top), dtype=np.float32)
    if depth > 8:
        pixels = np.minimum(pixels, np.float32(1))
    if orientation in _UPRIGHT:
        pixels = np.asarray(Image.fromarray(pixels).transpose(_UPRIGHT[orientation]))
        notes.append(f"turned upright: EXIF orientation {orientation}")
    return Greys(pixels, depth, tuple(notes))


def _sixteen_bits(image: Image.Image, data: bytes) -> np.ndarray:
    """Return the samples (rows, columns, channels) of a 16-bit PNG; Pillow gives those of grey ones alone."""
    if image.mode.startswith("I"):
        return np.asarray(image)[..., None]
    # The high bytes, and the low ones by decoding again as if the file were little endian.
    halves = []
    if data[25] == 4:
        # Grey and opacity, two bytes each, are as long as four channels of one byte.
        four = _decoded(data, "RGBA", "RGBA").astype(np.uint16)
        return four[..., 0::2] << 8 | four[..., 1::2]
    for order in ("B", "L"):
        halves.append(_decoded(data, image.mode, f"{image.mode};16{order}").astype(np.uint16))
    return halves[0] << 8 | halves[1]


def _decoded(data: bytes, mode: str, layout: str) -> np.ndarray:
    """Return a PNG's pixels, its decompressed bytes taken for those of another layout of Pillow's."""
    image = PngImageFile(io.BytesIO(data))
    image._mode = mode
    image.tile = [tile._replace(args=layout) for tile in image.tile]
    return np.asarray(image)


def _range(stored: np.ndarray) -> tuple[int, str]:
    """Return the largest value of the bits that 16-bit greys use, in words too.

    10, 12 and 14-bit films are often saved in 16-bit files without being rescaled. A few hot pixels, or a
    marker drawn at full white, use no bits.
    """
    highest = int(stored.max())
    marked = int((stored == highest).sum())
    few = max(int(HOT * stored.size), LEAST_HOT, marked if marked <= MARKED * stored.size else 0)
    few = min(few, stored.size - 1)
    # The highest value but for the few.
    usual = int(np.partition(stored, stored.size - 1 - few, axis=None)[stored.size - 1 - few])
    used = max(8, usual.bit_length())
    top = 2**used - 1
    said = f"{used} bits used: 0 to {top} scaled to the full range"
    if highest > top:
        said += f", {counted(int((stored > top).sum()), 'brighter pixel')} shown white"
    return top, said
