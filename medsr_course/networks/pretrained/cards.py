"""The card of a shipped network: what it is, what made it, how it is used, what was measured, what it is not for."""

import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints

from medsr_course import runtime

FORMAT = 2
TASKS = {  # task → what its networks are called where one is asked for and another given
    "super-resolution": "super-resolution network",
    "diffusion": "diffusion network",
    "denoising": "denoiser",
    "slices": "network for thick slices",
    "reconstruction": "network for k-space",
    "segmentation": "segmentation network",
    "features": "feature network",
}
USAGE: dict[str, dict[str, Any]] = {  # task → the keys of ``usage`` and their types
    "super-resolution": {
        "scale": int,
        "input": str,
        "data_consistency": str | None,
        "noise_map": bool,
        "most_noise": float | None,
        "own_error": float,
    },
    "diffusion": {"scale": int, "unit": float, "steps": int},
    "denoising": {"kind": str, "residual": bool},
    "slices": {"slab": dict, "iterations": int},
    "reconstruction": {"trust": float | None, "factors": list, "noise": list},
    "segmentation": {"contrast": str, "classes": list},
    "features": {"question": str},
}


class WeightError(runtime.CourseError):
    """A weight that is unknown, incomplete or not the one its card describes."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The model card of a network; every task has the same fields. A wrong type or key raises :class:`WeightError`."""

    format: int  # of the card
    name: str  # e.g. "espcn-x4"
    title: str  # e.g. "ESPCN ×4"
    task: str  # one of TASKS
    architecture: str  # one of models.ARCHITECTURES, built with ``settings``
    settings: dict[str, Any]
    parameters: int
    multiplications_per_pixel: int | None = None  # of the image, all iterations
    usage: dict[str, Any]  # how the network is used: the keys that USAGE has for the task
    data: list[str]  # sources and licences of the training data
    share: dict[str, float]  # source → part of the training images, 0 … 1
    trained_on: dict[str, list[str]]  # source → subjects
    augmentation: dict[str, Any] = field(default_factory=dict)  # how training images are varied → range or probability
    cohort_version: int
    seed: int
    steps: int  # of gradient descent
    batch: int  # images in each step
    precision: str | None = None  # what the training computed in, e.g. "mixed_bfloat16"; None: not recorded
    seconds: float  # that the training took
    start: str | None = None  # the shipped network whose weights the training started from
    training: dict[str, Any] = field(default_factory=dict)  # what else decides it, e.g. ``players``
    curve_columns: list[str] = field(default_factory=lambda: ["step", "loss"])
    curve: list[list[float]]  # rows: the step, means since the row before
    development: list[list[float]] = field(default_factory=list)  # rows: the step, gain on development scans in dB
    metrics: dict[str, dict[str, float]]  # group of scans → quantity → value, by the measurement protocol
    perception: dict[str, Any] | None = None  # what PSNR does not see
    seeds: dict[str, Any] | None = None  # the same training with other seeds
    twin: dict[str, Any] | None = None  # the same recipe without real scans
    intended_use: str
    not_for: str
    recipe: str  # the command that makes the weights
    licence: str
    version: str  # of the weights
    files: dict[str, str]  # name → SHA-256

    def __post_init__(self) -> None:
        where = f"card of {self.name!r}"
        if self.format != FORMAT:
            raise WeightError(f"{where}: format {self.format!r}, this version of the course reads {FORMAT}: update it")
        for key, hint in get_type_hints(Card).items():
            _check(f"{where}: {key}", getattr(self, key), hint)
        if self.task not in USAGE:
            raise WeightError(f"{where}: task {self.task!r}, expected one of {', '.join(USAGE)}")
        _check_keys(f"{where}: usage", self.usage, USAGE[self.task], USAGE[self.task])
        for key, hint in USAGE[self.task].items():
            _check(f"{where}: usage: {key}", self.usage[key], hint)

    @classmethod
    def from_json(cls, given: str | Mapping[str, Any], where: str = "card") -> Self:
        """Returns the card that JSON, or a dict read from it, holds.

        Raises
        ------
        WeightError
            In one line that names the file, ``where``, and the key: no JSON, unknown or missing keys, a wrong type.
        """
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError as error:
                raise WeightError(f"{where} is no card: {error}: restore it, or reinstall the course") from None
        if not isinstance(given, Mapping):
            raise WeightError(f"{where} is no card: it holds a {type(given).__name__}, not keys and values")
        if given.get("format") != FORMAT:
            raise WeightError(f"{where}: format {given.get('format')!r}, this version of the course reads {FORMAT}")
        _check_keys(where, given, _REQUIRED, [f.name for f in fields(cls)])
        try:
            return cls(**given)
        except WeightError as error:
            raise WeightError(f"{where}: {error}") from None

    @property
    def checksum(self) -> str:
        """SHA-256 of the file that runs: the ONNX twin, or where there is none, the Keras weights."""
        return self.files.get(f"{self.name}.onnx") or next(iter(self.files.values()), "")

    def provenance(self) -> str:
        """Returns one line that identifies the weights: name, version, first twelve digits of the checksum.

        It is what results and reports print, e.g. ``espcn-x4 1.0 (sha256 fc2b21c20ffe)``.
        """
        return f"{self.name} {self.version} (sha256 {self.checksum[:12]})"

    def to_json(self) -> str:
        """Returns the card as JSON, as its file holds it."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


_REQUIRED = {f.name for f in fields(Card) if f.default is MISSING and f.default_factory is MISSING}


def _check_keys(where: str, given: Mapping[str, Any], required: Collection[str], known: Collection[str]) -> None:
    for what, keys in (("unknown", set(given) - set(known)), ("missing", set(required) - set(given))):
        if keys:
            raise WeightError(f"{where}: {what} key {', '.join(sorted(map(repr, keys)))}")


def _check(where: str, value: Any, hint: Any) -> None:
    if not _fits(value, hint):
        wanted = hint.__name__ if isinstance(hint, type) and not get_args(hint) else hint
        raise WeightError(f"{where} is {value!r:.60}, expected {wanted}".replace("NoneType", "None"))


def _fits(value: Any, hint: Any) -> bool:
    """Tells whether a value, with what it holds, is of a type; an integer serves as a float, a bool does not."""
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    kind, inside = get_origin(hint) or hint, get_args(hint)
    if not isinstance(value, {float: (int, float), list: (list, tuple)}.get(kind, kind)):
        return False
    if isinstance(value, dict) and inside:
        return all(_fits(key, inside[0]) and _fits(entry, inside[1]) for key, entry in value.items())
    if kind is list and inside:
        return all(_fits(entry, inside[0]) for entry in value)
    return kind is bool or not isinstance(value, bool)
