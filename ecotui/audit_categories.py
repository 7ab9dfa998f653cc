"""The kinds of findings of the data audit: stable names, worst first, and what follows of each.

Each has a section of its own in `docs/audit.md`. Thresholds stand where they are applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["corrupt", "suspect", "leaks", "conflicts", "duplicates", "look", "labels", ""]
"""Kinds of findings that `--exclude` takes together."""


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of finding.

    Attributes:
        name: Stable: of the events, the exclusion list and the documentation.
        title: What is found, a phrase in the plural.
        verdict: Where at least one photo is concerned.
        group: Other name under which `--exclude` takes it; empty for none.
        consequence: What training does with such photos.
        remedy: What to do about them.
        can_exclude: Whether leaving photos out mends it.
    """

    name: str
    title: str
    verdict: Literal["note", "warn"]
    group: Group
    consequence: str
    remedy: str
    can_exclude: bool = True


_LEFT_OUT = "it leaves them out, each time, and counts them as skipped"
_REPLACE = "replace them, or leave them out: ecotui audit --exclude corrupt"
_DIFFERENT_SPLITS = "validation scores photos that were trained on: its accuracy is too good"

CATEGORIES: tuple[Category, ...] = (
    Category("empty", "empty files", "warn", "corrupt", _LEFT_OUT, _REPLACE),
    Category("truncated", "files that end too early", "warn", "corrupt", _LEFT_OUT, _REPLACE),
    Category("unreadable", "files that cannot be decoded", "warn", "corrupt", _LEFT_OUT, _REPLACE),
    Category(
        "unsupported",
        "files that are no photo in a known format",
        "warn",
        "corrupt",
        _LEFT_OUT,
        "convert them to JPEG or PNG, or leave them out: ecotui audit --exclude corrupt",
    ),
    Category(
        "not_permitted",
        "files that may not be read",
        "warn",
        "corrupt",
        _LEFT_OUT,
        "give yourself the right to read them: chmod u+r",
    ),
    Category(
        "too_large",
        "photos of more pixels than allowed",
        "warn",
        "corrupt",
        _LEFT_OUT,
        "scale them down, or raise data.max_pixels",
    ),
    Category(
        "suspect",
        "photos that a strict decoder complains about",
        "warn",
        "suspect",
        "it reads them as they are; a part of the picture may be grey or shifted",
        "look at the previews; leave out what is damaged: ecotui audit --exclude suspect",
    ),
    Category(
        "exact_duplicates_across_splits",
        "copies, to the byte, in different splits",
        "warn",
        "leaks",
        _DIFFERENT_SPLITS,
        "leave out all but one of each: ecotui audit --exclude leaks",
    ),
    Category(
        "near_duplicates_across_splits",
        "nearly the same photos in different splits",
        "warn",
        "leaks",
        _DIFFERENT_SPLITS,
        "look at the pairs; leave them out: ecotui audit --exclude leaks",
    ),
    Category(
        "exact_duplicates_across_classes",
        "copies, to the byte, in different classes",
        "warn",
        "conflicts",
        "the same picture is taught as two classes; at least one label is wrong",
        "keep the one with the right label; to leave both out: ecotui audit --exclude conflicts",
    ),
    Category(
        "near_duplicates_across_classes",
        "nearly the same photos in different classes",
        "warn",
        "conflicts",
        "nearly the same picture is taught as two classes; a label may be wrong",
        "look at the pairs and keep the right label; to leave both out: "
        "ecotui audit --exclude conflicts",
    ),
    Category(
        "missing_classes",
        "classes without a photo in a split",
        "warn",
        "",
        "nothing can be said about them from that split",
        "move some of their photos to that split",
        can_exclude=False,
    ),
    Category(
        "class_names",
        "classes whose names differ in case, spaces or accents only",
        "warn",
        "",
        "it takes them for different classes, and confuses them",
        "rename the folders so that they are one, or tell them apart",
        can_exclude=False,
    ),
    Category(
        "few_photos",
        "classes with few photos",
        "warn",
        "",
        "it learns little of them, and their scores mean little",
        "collect more, or join classes",
        can_exclude=False,
    ),
    Category(
        "class_balance",
        "classes of very different sizes",
        "warn",
        "",
        "it favours the large classes; accuracy hides it, macro F1 does not",
        "set train.class_weights = 'balanced' or data.sampling = 'balanced', and "
        "train.metric = 'macro_f1'",
        can_exclude=False,
    ),
    Category(
        "label_errors",
        "photos whose label is doubtful",
        "warn",
        "labels",
        "it is taught what is probably wrong, and marked down where it is right",
        "look at them, the most doubtful first, and move the wrong ones to their class",
    ),
    Category(
        "exact_duplicates",
        "copies, to the byte, in the same class and split",
        "note",
        "duplicates",
        "it sees them so many times more often",
        "leave out all but one of each: ecotui audit --exclude duplicates",
    ),
    Category(
        "near_duplicates",
        "nearly the same photos in the same class and split",
        "note",
        "duplicates",
        "it sees nearly the same thing several times an epoch",
        "no harm where they are meant; otherwise: ecotui audit --exclude duplicates",
    ),
    Category(
        "outside_links",
        "links to files outside the data",
        "note",
        "",
        "it reads them as any other photo; a copy of the folder lacks them",
        "copy the files into the data, where it is to be moved or shared",
        can_exclude=False,
    ),
    Category(
        "wrong_extension",
        "files whose name tells another format",
        "note",
        "",
        "it goes by the content, so they are read as they are",
        "rename them, for the sake of other programs",
    ),
    Category(
        "unusual_mode",
        "photos that are not plain 8-bit RGB or grey",
        "note",
        "",
        "it makes 8-bit RGB of them: transparency on white, 16 bits scaled, the first frame",
        "look at the previews; convert them where they look wrong",
    ),
    Category(
        "rotated",
        "photos that their EXIF data turns or mirrors",
        "note",
        "",
        "it turns them upright, as a viewer does; other programs may not",
        "none needed here",
        can_exclude=False,
    ),
    Category(
        "tiny",
        "photos with a side of less than 32 pixels",
        "note",
        "look",
        "it enlarges them many times; there is little in them to learn from",
        "replace them by larger ones, or leave them out: ecotui audit --exclude tiny",
    ),
    Category(
        "extreme_shape",
        "photos of extreme shape",
        "note",
        "look",
        "crops show a part of them only; validation looks at their middle",
        "crop them to what matters, or leave them out: ecotui audit --exclude extreme_shape",
    ),
    Category(
        "odd_size",
        "photos of a size far from the others'",
        "note",
        "look",
        "it resizes them; enlarged ones are less sharp than the others",
        "see whether they belong here",
    ),
    Category(
        "dark",
        "dark photos",
        "note",
        "look",
        "there may be nothing to be seen in them",
        "look at the previews; leave them out: ecotui audit --exclude dark",
    ),
    Category(
        "light",
        "over-exposed photos",
        "note",
        "look",
        "there may be nothing to be seen in them",
        "look at the previews; leave them out: ecotui audit --exclude light",
    ),
    Category(
        "blurred",
        "blurred photos",
        "note",
        "look",
        "fine structure cannot be learned from them",
        "look at the previews; leave them out: ecotui audit --exclude blurred",
    ),
    Category(
        "low_information",
        "photos with hardly anything in them",
        "note",
        "look",
        "it learns their background as the class",
        "look at the previews; leave them out: ecotui audit --exclude low_information",
    ),
    Category(
        "outliers",
        "photos unlike all others",
        "note",
        "look",
        "a few of them do no harm, and may be the most valuable ones",
        "look at the previews and see whether they belong here",
    ),
    Category(
        "normalisation",
        "colours far from what the model's normalisation expects",
        "note",
        "",
        "inputs lie far from zero mean and unit variance: learning begins slower",
        "none needed with pretrained weights; from scratch a model with other figures may help",
        can_exclude=False,
    ),
)
"""Worst first: the order in which they are told."""

BY_NAME = {category.name: category for category in CATEGORIES}
GROUPS = tuple(dict.fromkeys(each.group for each in CATEGORIES if each.group and each.can_exclude))
CORRUPT = tuple(each.name for each in CATEGORIES if each.group == "corrupt")
"""What training cannot read; counted for the verdict on the files."""


def members(wanted: str) -> tuple[str, ...]:
    """Return the categories that a word of `--exclude` means; none for an unknown word."""
    found = [each.name for each in CATEGORIES if each.can_exclude]
    return tuple(name for name in found if wanted and wanted in (name, BY_NAME[name].group))
