"""Adversarial training: a generator and a discriminator taught in turn (Ledig et al. 2017).

Both players are ordinary compiled models that see ``train_on_batch``, so the same loop runs on TensorFlow, JAX and
PyTorch.
"""

import numpy as np

from medsr_course import runtime
from medsr_course.networks.pretrained import load, super_resolve_with, usage
from medsr_course.networks.training.loop import inside, prefetch, restore, store
from medsr_course.networks.training.pairs import TrainingError
from medsr_course.physics import metrics
from medsr_course.physics.interpolation import zero_fill
from medsr_course.tasks import superresolution

COLUMNS = ("step", "pixel", "perceptual", "adversarial", "discriminator", "caught")


def players(
    generator,
    discriminator,
    features,
    *,
    scale,
    margin=0,
    pixel=1.0,
    perceptual=1.0,
    adversarial=1.0,
    conditional=False,
):
    """What the generator learns by: one model around it, the discriminator and the feature network.

    Parameters
    ----------
    generator : keras.Model
        ``(n, h, w, channels)`` to the residual over ZIP ``(n, scale·h, scale·w, 1)``.
    discriminator : keras.Model
        ``(n, H, W, 1)`` to a logit ``(n, 1)``, positive for "measured".
    features : keras.Model or None
        Image to a list of maps; frozen. None: no perceptual loss.
    scale : int
    margin : int
        Fine pixels at a patch's border that nobody judges: there the generator lacks surroundings.
    pixel, perceptual, adversarial : float
        Weights of the three losses: mean squared error × 1000 (so that it is about 1), :func:`losses.feature_distance`,
        and cross-entropy of the discriminator's verdict.
    conditional : bool
        The discriminator reads two channels, the image and what it was made from, ``(n, H, W, 2)``: it judges whether
        the one fits the other, not only whether it looks right (Isola et al. 2017).

    Returns
    -------
    side : keras.Model
        [coarse, ZIP, residual] to the three losses by name, each ``(n,)``.
    weights : dict of str to float
        Of those losses.
    """
    from medsr_course.networks import losses
    from medsr_course.networks.models import keras

    ops = keras.ops
    inner = inside(margin)
    coarse = keras.Input((None, None, generator.input_shape[-1]), name="coarse")
    zipped = keras.Input((None, None, 1), name="zip")
    residual = keras.Input((None, None, 1), name="residual")
    guess = generator(coarse)
    made, true = (zipped + guess)[inner], (zipped + residual)[inner]
    judged = ops.concatenate([made, zipped[inner]], axis=-1) if conditional else made
    terms = {
        "pixel": 1000 * ops.mean(ops.square(made - true), axis=(1, 2, 3)),
        "adversarial": losses.adversarial_loss(discriminator(judged), 1.0),
    }
    if features is not None:
        features.trainable = False
        terms["perceptual"] = losses.feature_distance(features(true), features(made))
    weights = {"pixel": pixel, "adversarial": adversarial, "perceptual": perceptual}
    # A name of its own for each output, whatever the backend calls its operations.
    outputs = {k: keras.layers.Identity(name=k, dtype="float32")(v) for k, v in terms.items()}
    side = keras.Model([coarse, zipped, residual], outputs, name="generator_side")
    return side, {k: weights[k] for k in outputs}


def fit(
    generator,
    discriminator,
    features,
    batches,
    steps,
    *,
    scale,
    learning_rate=2e-4,
    discriminator_rate=None,
    margin=0,
    pixel=1.0,
    perceptual=1.0,
    adversarial=0.03,
    conditional=False,
    average=0.99,
    checkpoint=None,
    every=50,
    stop_after=None,
):
    """Teach both players, one step each in turn.

    Parameters
    ----------
    generator, discriminator, features
        See :func:`players`. The generator is trained in place, best from weights that minimise the squared error; it
        ends with the exponential average of its weights.
    batches : callable
        ``batches(k) -> (ZIP, residual, …)``, fine patches, a function of k alone: :class:`Patches` with
        ``zero_filled=True``.
    steps : int
        Total length; with 0 nothing happens.
    learning_rate : float
        Of both players; falls to a tenth as a cosine.
    discriminator_rate : float, optional
        Another one for the discriminator (Heusel et al. 2017): it starts from nothing, the generator does not.
    margin : int
        In fine pixels.
    average : float
        Momentum of the average; 0 for none.
    checkpoint, every, stop_after
        As :func:`training.fit`.

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
    from medsr_course.networks import losses
    from medsr_course.networks.models import keras

    ops = keras.ops
    side, weights = players(
        generator,
        discriminator,
        features,
        scale=scale,
        margin=margin,
        pixel=pixel,
        perceptual=perceptual,
        adversarial=adversarial,
        conditional=conditional,
    )

    def adam(rate, **options):
        schedule = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.1)
        return keras.optimizers.Adam(schedule, beta_1=0.5, global_clipnorm=1.0, **options)

    def caught(label, logit):
        return ops.cast(ops.equal(logit > 0, label > 0.5), "float32")

    discriminator.trainable = True
    discriminator.compile(
        adam(discriminator_rate or learning_rate),
        lambda label, logit: losses.adversarial_loss(logit, label[:, 0]),
        metrics=[caught],
        jit_compile=False,
    )
    discriminator.optimizer.build(discriminator.trainable_variables)
    # Frozen while the generator learns from it. Two flags, because some backends ask again at every step.
    discriminator.trainable = False
    options = {"use_ema": True, "ema_momentum": average} if average else {}
    side.compile(
        adam(learning_rate, **options),
        {k: lambda _, loss: loss for k in weights},
        loss_weights=weights,
        jit_compile=False,
    )
    side.optimizer.build(side.trainable_variables)
    everything = [
        *generator.weights,
        *discriminator.weights,
        *side.optimizer.variables,
        *discriminator.optimizer.variables,
    ]
    history = restore(everything, steps, checkpoint)
    first = history[-1][0] if history else 0
    last = min(steps, stop_after or steps)
    inner = inside(margin)
    recent = []
    bar = runtime.progress(range(first, last), "adversarial", unit="step")
    for k, (zipped, residual, *_) in prefetch(batches, bar, last):
        # Zero-filling keeps every measured sample: each scale-th pixel is the coarse patch.
        coarse = zipped[:, ::scale, ::scale]
        zipped = zipped[..., :1]  # a noise map is for the generator alone
        true = zipped + residual
        made = zipped + ops.convert_to_numpy(generator.predict_on_batch(coarse))
        both, label = np.concatenate([true[inner], made[inner]]), np.repeat([[1.0], [0.0]], len(true), axis=0)
        if conditional:
            both = np.concatenate([both, np.tile(zipped[inner], (2, 1, 1, 1))], axis=-1)
        discriminator.trainable = True
        discriminator.reset_metrics()
        theirs = discriminator.train_on_batch(both, label.astype(np.float32), return_dict=True)
        discriminator.trainable = False
        side.reset_metrics()
        nothing = {name: np.zeros(len(true), np.float32) for name in weights}
        ours = side.train_on_batch([coarse, zipped, residual], nothing, return_dict=True)
        found = [float(ours.get(f"{name}_loss", 0.0)) for name in COLUMNS[1:4]]
        recent.append([*found, float(theirs["loss"]), float(theirs["caught"])])
        if not np.isfinite(recent[-1]).all():
            numbers = ", ".join(f"{n} {v:.3g}" for n, v in zip(COLUMNS[1:], recent[-1], strict=True))
            raise TrainingError(f"a loss is not finite at step {k} ({numbers}): lower the learning rate")
        if (k + 1) % every == 0 or k + 1 == last:
            history.append((k + 1, *(float(v) for v in np.mean(recent, axis=0))))
            recent.clear()
            if checkpoint:
                store(everything, steps, history, checkpoint)
    if last == steps and average:
        side.optimizer.finalize_variable_values(side.trainable_variables)
    discriminator.trainable = True
    return history


def teach(
    generator,
    batches,
    steps,
    *,
    scale,
    features,
    filters=24,
    seed=0,
    learning_rate=2e-4,
    margin=0,
    conditional=False,
    checkpoint=None,
    **weights,
):
    """:func:`fit` as a recipe wants it: with a new discriminator and a shipped feature network.

    Parameters
    ----------
    features : str or None
        Name of a shipped feature network; None: no perceptual loss.
    filters, seed
        Of the discriminator.
    conditional : bool
        See :func:`players`; the discriminator is then :func:`models.pair_discriminator`.
    **weights
        Of the losses, see :func:`players`; also ``discriminator_rate``.
    """
    from medsr_course.networks import models

    eye = load(features) if features else None
    judge = (models.pair_discriminator if conditional else models.discriminator)(filters=filters, seed=seed)
    return fit(
        generator,
        judge,
        eye,
        batches,
        steps,
        scale=scale,
        learning_rate=learning_rate,
        margin=margin,
        conditional=conditional,
        checkpoint=checkpoint,
        **weights,
    )


def perception(network, about, groups, judge="features-judge"):
    """What PSNR does not see, for a card: the new network against the one it started from, and ZIP.

    Parameters
    ----------
    network : callable
        As for :func:`pretrained.super_resolve_with`.
    about : Card
        Its card; ``start`` names the other network.
    groups : dict
        Group title → scan name → image; those of the cohort are measured.
    judge : str
        Name of the feature network that measures.

    Returns
    -------
    dict
        Group → method → ``perceptual distance`` and ``spectrum error`` (:func:`metrics.spectrum_error`), means over
        subjects.
    """
    from medsr_course.networks import losses

    eye, start, scale = load(judge), load(about.start), about.usage["scale"]
    methods = {
        "ZIP": lambda coarse: zero_fill(coarse, scale),
        about.start: lambda coarse: super_resolve_with(start.predict_on_batch, coarse, **usage(about)),
        about.name: lambda coarse: super_resolve_with(network, coarse, **usage(about)),
    }
    result = {}
    for title, group in groups.items():
        if not title.startswith("cohort"):
            continue
        rows = {name: [] for name in methods}
        for image in group.values():
            pair = superresolution.pair(image, scale)
            for name, method in methods.items():
                made = method(pair.given)
                distance = losses.perceptual_distance(eye, pair.target, made)
                rows[name].append((distance, metrics.spectrum_error(pair.target, made, scale)))
        result[title] = {
            name: dict(
                zip(("perceptual distance", "spectrum error"), np.mean(row, axis=0).round(4).tolist(), strict=True)
            )
            for name, row in rows.items()
        }
    return result
