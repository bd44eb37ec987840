"""Recipes of the segmentation networks: labelled patches, turned, zoomed and shaded anew each time one is cut."""

from dataclasses import asdict, dataclass, field

import numpy as np
from scipy import ndimage

from medsr_course import runtime
from medsr_course.networks.pretrained import segment_with
from medsr_course.networks.training import learning
from medsr_course.networks.training.loop import fit
from medsr_course.networks.training.pairs import TrainingError, scaled_slices
from medsr_course.networks.training.sources import SOURCES
from medsr_course.physics.grid import IN_HEAD
from medsr_course.scans import datasets, volumes
from medsr_course.tasks import segmentation


@dataclass(frozen=True)
class Change:
    """What is done at random to a patch: so that one network fits many heads, coils and protocols.

    Attributes
    ----------
    turn : float
        Degrees, either way.
    zoom : float
        Larger or smaller by up to this factor, log-uniformly: pixels need not be exactly 1 mm.
    gamma : float
        Contrast is raised to a power drawn log-uniformly from 1/gamma … gamma.
    gain, shade : float
        Brightness as a whole, and its smooth change across the patch, in parts.
    soft : float
        Largest standard deviation of a blur, pixels; half of the patches get none.
    noise : float
        Largest standard deviation of magnitude noise, in parts of the intensity scale.
    """

    turn: float = 15.0
    zoom: float = 1.5
    gamma: float = 1.4
    gain: float = 0.15
    shade: float = 0.25
    soft: float = 0.8
    noise: float = 0.04


class Labelled:
    """Batches of labelled patches: ``labelled(k)`` is batch number k, a function of (seed, k) alone.

    Parameters
    ----------
    images, labels : sequences of arrays (h, w)
        Slices divided by their intensity scale, and the class of each pixel.
    size : int
        Side of a patch.
    batch : int
    change : Change or None
        None: patches are cut straight, as they are.
    rare : int, optional
        A class that is rare; ``share`` of the patches are centred on one of its pixels.
    share : float
    seed : int
    """

    def __init__(self, images, labels, *, size=96, batch=8, change=None, rare=None, share=0.5, seed=0):
        if not len(images):
            raise TrainingError("there are no slices to train on: check the data sets of the recipe")
        self.images, self.labels, self.size, self.batch = images, labels, size, batch
        self.change, self.rare, self.share, self.seed = change, rare, share, seed
        self._inside = [np.flatnonzero(np.asarray(image[::4, ::4]) > IN_HEAD) for image in images]
        self._some = [i for i, where in enumerate(self._inside) if where.size]
        self._spots = [] if rare is None else [(i, np.argwhere(y == rare)) for i, y in enumerate(labels)]
        self._spots = [(i, where) for i, where in self._spots if len(where)]

    def __call__(self, k):
        rng = np.random.default_rng([self.seed, 3, k])
        patches, classes = zip(*(self._one(rng) for _ in range(self.batch)), strict=True)
        return np.stack(patches)[..., None], np.stack(classes)

    def _one(self, rng):
        if self._spots and rng.random() < self.share:
            i, where = self._spots[rng.integers(len(self._spots))]
            centre = where[rng.integers(len(where))] + rng.integers(-self.size // 3, self.size // 3 + 1, 2)
        else:
            i = self._some[rng.integers(len(self._some))]
            spot = self._inside[i][rng.integers(self._inside[i].size)]
            centre = 4 * np.array(divmod(int(spot), -(-self.images[i].shape[1] // 4)))
        image, labels, size, change = self.images[i], self.labels[i], self.size, self.change
        matrix = np.eye(2)
        if change is not None:
            angle, zoom = np.deg2rad(rng.uniform(-1, 1) * change.turn), change.zoom ** rng.uniform(-1, 1)
            matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        if rng.random() < 0.5:
            matrix[:, 1] *= -1
        reach = np.abs(matrix).sum(axis=1) * size / 2 + 2  # what of the slice the patch can touch
        low = np.maximum(np.floor(centre - reach), 0).astype(int)
        part = tuple(slice(a, max(int(b), a + 1)) for a, b in zip(low, centre + reach, strict=True))
        offset = centre - low - matrix @ np.full(2, (size - 1) / 2)
        options = {"output_shape": (size, size), "mode": "constant"}
        patch = ndimage.affine_transform(image[part].astype(np.float32), matrix, offset, order=1, **options)
        classes = ndimage.affine_transform(labels[part], matrix, offset, order=0, **options)
        if change is not None:
            patch = self._changed(patch, rng)
        return patch.astype(np.float32), classes.astype(np.int32)

    def _changed(self, patch, rng):
        change = self.change
        axis = np.linspace(-1, 1, self.size, dtype=np.float32)
        slopes = rng.uniform(-1, 1, 3) * change.shade
        shade = slopes[0] * axis[:, None] + slopes[1] * axis + slopes[2] * axis[:, None] * axis
        patch = np.maximum(patch, 0) ** change.gamma ** rng.uniform(-1, 1)
        patch = patch * np.exp(shade + rng.uniform(-1, 1) * change.gain)
        if rng.random() < 0.5:
            patch = ndimage.gaussian_filter(patch, rng.uniform(0, change.soft))
        sigma = rng.uniform(0, change.noise) * (rng.random() < 0.7)
        real, imaginary = sigma * rng.standard_normal((2, *patch.shape), dtype=np.float32)
        return np.hypot(patch + real, imaginary)


@dataclass(frozen=True)
class Recipe:
    """All that decides a segmentation network.

    Attributes
    ----------
    question : {"tissue", "lesion"}
        What each pixel is asked.
    contrast : str
        Of the cohort.
    settings
        For ``models.build("unet", …)``.
    rare : float
        Share of the patches that are centred near a lesion.
    subjects : int
        Of the cohort, those for validation and test among them.
    """

    title: str
    question: str
    contrast: str
    steps: int
    settings: dict
    batch: int = 8
    size: int = 96
    learning_rate: float = 3e-3
    change: dict = field(default_factory=dict)
    rare: float = 0.5
    subjects: int = 24
    precision: str = "auto"
    seed: int = 0


RECIPES = {
    "unet-tissue": Recipe(
        "U-Net for tissue", "tissue", "T1w", steps=3600, settings={"classes": 5, "filters": [12, 24, 48, 64]}
    ),
    "unet-lesion": Recipe(
        "U-Net for lesions",
        "lesion",
        "FLAIR",
        steps=3000,
        settings={"classes": 2, "filters": [12, 24, 48, 64]},
        rare=0.35,
    ),
}
CLASSES = {"tissue": list(segmentation.TISSUES), "lesion": ["no lesion", "lesion"]}
INTENDED_USE = {
    "tissue": "Teaching: to see what a small U-Net makes of the T1-weighted axial slices of a head, and what super-"
    "resolution changes in it.",
    "lesion": "Teaching: to see how rare things are learned, on FLAIR slices of the synthetic cohort.",
}
NOT_FOR = (
    "Diagnosis, volumetry of patients, or any decision about a person: it has seen invented heads only, and its errors "
    "on real ones are unknown where nobody labelled them."
)


def truth(subject, question):
    """The label volume of a subject for "tissue" or "lesion", as a stack (n, h, w) of uint8."""
    image = subject.labels if question == "tissue" else subject.lesions
    stack = volumes.to_stack(image).astype(np.uint8)
    return segmentation.tissues(stack) if question == "tissue" else (stack > 0).astype(np.uint8)


def material(people, question, contrast, count=60):
    """Slices of some subjects and their classes.

    Returns
    -------
    images : list of float16 arrays (h, w)
        Divided by the intensity scale of their scan.
    labels : list of uint8 arrays (h, w)
    """
    images, labels = [], []
    for subject in runtime.progress(people, "slices", unit="subject"):
        scan = subject.contrasts[contrast]
        wanted = subject.labels if question == "tissue" else subject.lesions
        classes = volumes.axial_slices(wanted, n=count, between=(0.2, 0.9)).astype(np.uint8)
        images += list(scaled_slices(scan, count))
        labels += list(segmentation.tissues(classes) if question == "tissue" else (classes > 0).astype(np.uint8))
    return images, labels


def overlap_loss(target, logits):
    """Cross-entropy plus soft Dice: the first knows where it is sure, the second how rare a class is."""
    from medsr_course.networks import losses

    return losses.cross_entropy(target, logits) + losses.soft_dice(target, logits)


def make(name, *, steps=None, checkpoint=None):
    """Train a segmentation network.

    Parameters
    ----------
    name : str
        One of :data:`RECIPES`.
    steps : int, optional
        Another length.
    checkpoint : path, optional

    Returns
    -------
    keras.Model, in float32
    about : dict
        What a card says.
    """
    recipe = learning.find(name, RECIPES)
    steps = steps or recipe.steps
    people = datasets.load("cohort", n_subjects=recipe.subjects).select("train")
    images, labels = material(people, recipe.question, recipe.contrast)
    change = Change(**recipe.change)
    batches = Labelled(
        images,
        labels,
        size=recipe.size,
        batch=recipe.batch,
        change=change,
        rare=1 if recipe.question == "lesion" else None,
        share=recipe.rare,
        seed=recipe.seed,
    )
    options = {"learning_rate": recipe.learning_rate, "loss": overlap_loss, "checkpoint": checkpoint}
    model, learned = learning.learn(
        "unet",
        recipe.settings,
        lambda model: fit(model, batches, steps, **options),
        policy=recipe.precision,
        seed=recipe.seed,
    )
    return model, {
        "title": recipe.title,
        "task": "segmentation",
        **learned,
        "usage": {"contrast": recipe.contrast, "classes": CLASSES[recipe.question]},
        "data": [SOURCES["cohort"]],
        "share": {"cohort": 1.0},
        "trained_on": {"cohort": [s.id for s in people]},
        "augmentation": asdict(change),
        "seed": recipe.seed,
        "steps": steps,
        "batch": recipe.batch,
        "metrics": measure(model.predict_on_batch, recipe),
        "intended_use": INTENDED_USE[recipe.question],
        "not_for": NOT_FOR,
    }


def measure(network, recipe):
    """What a card says of a segmentation network: group → numbers, for the cohort's validation and test subjects."""
    rows = {}
    for split in ("validation", "test"):
        people = datasets.load("cohort", n_subjects=recipe.subjects).select(split)
        found = [_of_subject(network, s, recipe.question, recipe.contrast) for s in people]
        mean = {key: float(np.nanmean([row[key] for row in found])) for key in found[0]}
        rows[f"cohort {split}, {recipe.contrast}"] = {
            "subjects": len(found),
            **{key: float(f"{value:.4g}") for key, value in mean.items()},
        }
    return rows


def _of_subject(network, subject, question, contrast):
    scan = volumes.to_stack(subject.contrasts[contrast])
    middle = slice(int(0.35 * len(scan)), int(0.72 * len(scan)), 3 if question == "tissue" else 1)
    wanted = truth(subject, question)[middle]
    found = segment_with(network, scan[middle])
    if question == "tissue":
        return {f"Dice {segmentation.TISSUES[k]}": segmentation.dice(wanted, found, k) for k in segmentation.BRAIN}
    hits, alarms = segmentation.detected(wanted == 1, found == 1)
    right = [hit for _, hit in hits]
    return {
        "Dice lesion": segmentation.dice(wanted, found, 1),
        "lesions found (%)": 100 * float(np.mean(right)) if right else float("nan"),
        "false alarms": float(alarms),
    }
