"""Adversarial training: a generator and a discriminator taught in turn (Ledig et al. 2017).

Both players are ordinary compiled models that see ``train_on_batch``, so the same loop runs on TensorFlow, JAX and
PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medsr_course.networks.pretrained import load
from medsr_course.networks.training.loop import Batches, Model, inside, run
from medsr_course.networks.training.pairs import TrainingError
from medsr_course.physics import metrics
from medsr_course.types import Array

COLUMNS = ("step", "pixel", "perceptual", "adversarial", "discriminator", "caught")


@dataclass(frozen=True)
class Players:
    """How the two players are taught."""

    features: str | None = None  # the shipped feature network of the perceptual loss, for :func:`teach`
    filters: int = 24  # of the discriminator, for :func:`teach`
    scale: int = 1  # from the generator's input to its output
    margin: int = 0  # fine pixels at a patch's border that nobody judges: there the generator lacks surroundings
    # Weights of the three losses: mean squared error × 1000 (so that it is about 1), :func:`losses.feature_distance`,
    # and cross-entropy of the discriminator's verdict
    pixel: float = 1.0
    perceptual: float = 1.0
    adversarial: float = 0.03
    # The discriminator reads two channels, the image and what it was made from, ``(n, H, W, 2)``: it judges whether the
    # one fits the other, not only whether it looks right (Isola et al. 2017)
    conditional: bool = False
    learning_rate: float = 2e-4  # of both players; falls to a tenth as a cosine
    discriminator_rate: float | None = None  # another one (Heusel et al. 2017): this player starts from nothing
    average: float = 0.99  # momentum of the average of the generator's weights; 0 for none


class Game:
    """Both players, compiled, and one step of each; for the arguments see :func:`fit`."""

    def __init__(self, generator: Model, discriminator: Model, features: Model | None, players: Players, steps: int):
        self.generator, self.discriminator, self.players = generator, discriminator, players
        self.inner = inside(players.margin)
        self.side, weights = self._generator_side(features)
        self._compile(steps, weights)

    @property
    def variables(self) -> list:
        """All that a checkpoint must hold."""
        side, judge = self.side.optimizer, self.discriminator.optimizer
        return [*self.generator.weights, *self.discriminator.weights, *side.variables, *judge.variables]

    def _generator_side(self, features: Model | None) -> tuple[Model, dict[str, float]]:
        """Returns what the generator learns by: [coarse, ZIP, residual] to the losses ``(n,)``; and their weights."""
        from medsr_course.networks import losses
        from medsr_course.networks.models import keras

        ops, players, inner = keras.ops, self.players, self.inner
        coarse = keras.Input((None, None, self.generator.input_shape[-1]), name="coarse")
        zipped = keras.Input((None, None, 1), name="zip")
        residual = keras.Input((None, None, 1), name="residual")
        guess = self.generator(coarse)
        made, true = (zipped + guess)[inner], (zipped + residual)[inner]
        judged = ops.concatenate([made, zipped[inner]], axis=-1) if players.conditional else made
        terms = {
            "pixel": 1000 * ops.mean(ops.square(made - true), axis=(1, 2, 3)),
            "adversarial": losses.adversarial_loss(self.discriminator(judged), 1.0),
        }
        if features is not None:
            features.trainable = False
            terms["perceptual"] = losses.feature_distance(features(true), features(made))
        # A name of its own for each output, whatever the backend calls its operations.
        outputs = {k: keras.layers.Identity(name=k, dtype="float32")(v) for k, v in terms.items()}
        side = keras.Model([coarse, zipped, residual], outputs, name="generator_side")
        return side, {k: getattr(players, k) for k in outputs}

    def _compile(self, steps: int, weights: dict[str, float]) -> None:
        from medsr_course.networks import losses
        from medsr_course.networks.models import keras

        ops, players, discriminator = keras.ops, self.players, self.discriminator

        def adam(rate, **options):
            schedule = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.1)
            return keras.optimizers.Adam(schedule, beta_1=0.5, global_clipnorm=1.0, **options)

        def caught(label, logit):
            return ops.cast(ops.equal(logit > 0, label > 0.5), "float32")

        discriminator.trainable = True
        discriminator.compile(
            adam(players.discriminator_rate or players.learning_rate),
            lambda label, logit: losses.adversarial_loss(logit, label[:, 0]),
            metrics=[caught],
            jit_compile=False,
        )
        discriminator.optimizer.build(discriminator.trainable_variables)
        # Frozen while the generator learns from it. Two flags, because some backends ask again at every step.
        discriminator.trainable = False
        options = {"use_ema": True, "ema_momentum": players.average} if players.average else {}
        self.side.compile(
            adam(players.learning_rate, **options),
            {k: lambda _, loss: loss for k in weights},
            loss_weights=weights,
            jit_compile=False,
        )
        self.side.optimizer.build(self.side.trainable_variables)

    def step(self, zipped: Array, residual: Array) -> list[float]:
        """One step of the discriminator, then one of the generator; returns :data:`COLUMNS` without the step."""
        from medsr_course.networks.models import keras

        # Zero-filling keeps every measured sample: each scale-th pixel is the coarse patch.
        coarse = zipped[:, :: self.players.scale, :: self.players.scale]
        zipped = zipped[..., :1]  # a noise map is for the generator alone
        true = zipped + residual
        made = zipped + keras.ops.convert_to_numpy(self.generator.predict_on_batch(coarse))
        both, label = np.concatenate([true[self.inner], made[self.inner]]), np.repeat([[1.0], [0.0]], len(true), axis=0)
        if self.players.conditional:
            both = np.concatenate([both, np.tile(zipped[self.inner], (2, 1, 1, 1))], axis=-1)
        self.discriminator.trainable = True
        self.discriminator.reset_metrics()
        theirs = self.discriminator.train_on_batch(both, label.astype(np.float32), return_dict=True)
        self.discriminator.trainable = False
        self.side.reset_metrics()
        nothing = {name: np.zeros(len(true), np.float32) for name in self.side.output_names}
        ours = self.side.train_on_batch([coarse, zipped, residual], nothing, return_dict=True)
        found = [float(ours.get(f"{name}_loss", 0.0)) for name in COLUMNS[1:4]]
        return [*found, float(theirs["loss"]), float(theirs["caught"])]

    def average(self) -> None:
        """Puts the averaged weights into the generator."""
        if self.players.average:
            self.side.optimizer.finalize_variable_values(self.side.trainable_variables)


def fit(
    generator: Model,
    discriminator: Model,
    features: Model | None,
    batches: Batches,
    steps: int,
    players: Players,
    **options: Any,
) -> list[tuple]:
    """Teach both players, one step each in turn.

    Parameters
    ----------
    generator : keras.Model
        ``(n, h, w, channels)`` to the residual over ZIP ``(n, scale·h, scale·w, 1)``. Trained in place, best from
        weights that minimise the squared error; it ends with the exponential average of its weights.
    discriminator : keras.Model
        ``(n, H, W, 1 or 2)`` to a logit ``(n, 1)``, positive for "measured".
    features : Model or None
        Image to a list of maps; it stays as it is.
    batches : callable
        ``batches(k) -> (ZIP, residual, …)``, fine patches, a function of k alone: :class:`Patches` with
        ``zero_filled=True``.
    steps : int
        Total length; with 0 nothing happens.
    **options
        As for :func:`training.fit`; ``every`` is 50.

    Returns
    -------
    list of tuple
        :data:`COLUMNS`: step, the three losses of the generator (before their weights), the discriminator's loss, and
        the share of patches it judged rightly; means since the previous row.

    Raises
    ------
    TrainingError
        If a loss is not finite, or the checkpoint belongs to another network or length.
    """
    if steps == 0:
        return []
    game = Game(generator, discriminator, features, players, steps)

    def step(k: int, zipped: Array, residual: Array, *_: Array) -> list[float]:
        values = game.step(zipped, residual)
        if not np.isfinite(values).all():
            numbers = ", ".join(f"{n} {v:.3g}" for n, v in zip(COLUMNS[1:], values, strict=True))
            raise TrainingError(f"a loss is not finite at step {k} ({numbers}): lower the learning rate")
        return values

    options = {"every": 50, **options}
    history = run(generator, step, game.average, game.variables, batches, steps, label="adversarial", **options)
    discriminator.trainable = True
    return history


def teach(
    generator: Model, batches: Batches, steps: int, players: Players, *, seed: int = 0, **options: Any
) -> list[tuple]:
    """:func:`fit` as a recipe wants it: with a new discriminator (of that seed) and a shipped feature network."""
    from medsr_course.networks import models

    eye = load(players.features) if players.features else None
    build = models.pair_discriminator if players.conditional else models.discriminator
    return fit(generator, build(filters=players.filters, seed=seed), eye, batches, steps, players, **options)


def perceived(
    runs: Mapping[str, Callable[[Array], Array]], pairs: Sequence[Any], band: float
) -> dict[str, list[float]]:
    """Measures what PSNR does not see, for a card, by the feature network "features-judge", which never teaches.

    ``runs`` holds functions by name, from what is given of each pair to an image. Returns name → PSNR (dB), spectrum
    error (beyond 1 / ``band`` of Nyquist, see :func:`metrics.spectrum_error`) and perceptual distance, means over
    scans.
    """
    from medsr_course.networks import losses

    eye, result = load("features-judge"), {}
    for name, restore in runs.items():
        made = [(pair.target, restore(pair.given)) for pair in pairs]
        rows = [(metrics.psnr(*x), metrics.spectrum_error(*x, band), losses.perceptual_distance(eye, *x)) for x in made]
        result[name] = [float(value) for value in np.mean(rows, axis=0)]
    return result
