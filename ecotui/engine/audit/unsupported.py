"""What a file is that is no photo in a known format, told by its first bytes.

Source: the formats' own specifications; for HEIC and AVIF, ISO/IEC 23008-12 and the AV1 Image
File Format, which name their brands after `ftyp`.
"""

from __future__ import annotations

_BEGINNINGS = (
    (b"%!PS", "PostScript (EPS)"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"SIMPLE  =", "an astronomical image (FITS)"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 stream"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"RIFF", "a RIFF file that is no WebP"),
    (b"DDS ", "a DirectDraw surface"),
    (b"qoif", "a QOI image"),
    (b"P4", "a portable bitmap (PBM)"),
    (b"P5", "a portable graymap (PGM)"),
    (b"P6", "a portable pixmap (PPM)"),
    (b"version https://git-lfs", "a pointer of Git LFS: the photo was not fetched (git lfs pull)"),
)
_BRANDS = ((b"heic", "HEIC"), (b"heix", "HEIC"), (b"mif1", "HEIF"), (b"avif", "AVIF"))


def named_content(data: bytes) -> str:
    """Return what a file holds, as a phrase for a person; empty where nothing is known.

    Args:
        data: At least the first bytes of the file.
    """
    for beginning, name in _BEGINNINGS:
        if data.startswith(beginning):
            return f"this is {name}, not a photo in a known format"
    if data[4:8] == b"ftyp":
        brand = next((name for mark, name in _BRANDS if mark in data[8:40]), "a video (MP4)")
        return f"this is {brand}, not a photo in a known format"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml")):
        return "this is XML such as SVG, not a photo in a known format"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "this is a web page (HTML), not a photo: a download that failed?"
    if start.startswith((b"{", b"[")):
        return "this is text such as JSON, not a photo: a download that failed?"
    return "the file holds zeros only" if data and not data.strip(b"\0") else ""
