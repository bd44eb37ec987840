"""Exercises of chapter 17: identifiers replaced alike, masks that cancel, one private round."""

import copy

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped


def _files():
    """Three files of one study that refer to each other."""
    images = [f"1.2.{k}" for k in np.random.default_rng().permutation(1000)[:3]]
    return [{"study": "1.9", "image": uid, "refers": [other for other in images if other != uid]} for uid in images]


def _counter():
    state = {"next": 0}

    def fresh():
        state["next"] += 1
        return f"2.25.{state['next']}"

    return fresh


def _check_uids(fn):
    files = _files()
    given = copy.deepcopy(files)
    got = answer(fn, given, _counter())
    if given != files:
        raise Wrong("leave the files as they are, and return new ones: the hospital still needs its own")
    try:
        uids = [[file["study"], file["image"], *file["refers"]] for file in got]
    except (TypeError, KeyError, IndexError):
        raise Wrong("return a list of dictionaries with the keys study, image and refers") from None
    if [len(one) for one in uids] != [4, 4, 4]:
        raise Wrong("return as many files as came in, each with as many references")
    old = {uid for file in files for uid in (file["study"], file["image"])}
    _judge_uids(got, files, old)


def _judge_uids(got, files, old):
    images = [file["image"] for file in got]
    if any(uid in old for file in got for uid in file["refers"]):
        raise Wrong("the references still hold old UIDs: whoever has the originals finds the patient by them")
    if any(uid in old for file in got for uid in (file["study"], file["image"])):
        raise Wrong("some UIDs of studies or images are still the old ones")
    if len({file["study"] for file in got}) > 1:
        raise Wrong("one study became several: keep what was given out, and use it again for the same UID")
    if len(set(images)) < len(images):
        raise Wrong("two images got the same UID: a viewer would show one of them only")
    place = {file["image"]: k for k, file in enumerate(files)}
    for new, file in zip(got, files, strict=True):
        if list(new["refers"]) != [images[place[uid]] for uid in file["refers"]]:
            raise Wrong("a reference no longer names its image: the same old UID needs the same new one everywhere")


def remap(files, fresh):
    table = {}

    def new(uid):
        if uid not in table:
            table[uid] = fresh()
        return table[uid]

    return [
        {"study": new(f["study"]), "image": new(f["image"]), "refers": [new(u) for u in f["refers"]]} for f in files
    ]


def _remap_in_two_passes(files, fresh):
    every = sorted({uid for f in files for uid in (f["study"], f["image"], *f["refers"])})
    table = {uid: fresh() for uid in every}
    return [
        {"study": table[f["study"]], "image": table[f["image"]], "refers": [table[u] for u in f["refers"]]}
        for f in files
    ]


def _remap_everywhere_anew(files, fresh):
    study = fresh()
    return [{"study": study, "image": fresh(), "refers": [fresh() for _ in f["refers"]]} for f in files]


def _remap_per_file(files, fresh):
    return [remap([f], fresh)[0] for f in files]


def _remap_without_references(files, fresh):
    return [{**new, "refers": f["refers"]} for new, f in zip(remap(files, fresh), files, strict=True)]


def _remap_in_place(files, fresh):
    for f, new in zip(files, remap(files, fresh), strict=True):
        f.update(new)
    return files


def _check_masks(fn):
    rng = np.random.default_rng()
    for n, p in ((3, 5), (4, 8)):
        updates = rng.normal(0, 1, (n, p))
        seeds = rng.integers(1, 10**6, (n, n))
        seeds = np.triu(seeds, 1) + np.triu(seeds, 1).T
        got = shaped(
            answer(fn, updates.copy(), seeds.copy()), (n, p), f"return {n} rows of {p} numbers, not {{}}", float
        )
        _judge_masks(got, updates, seeds)


def _mask(seed, p):
    return np.random.default_rng(seed).normal(size=p)


def _judge_masks(got, updates, seeds):
    recognise(got, [(updates, "the server reads every update: add and subtract the masks")])
    if np.allclose(got, masked(updates, seeds)):
        return
    if np.allclose(got, 2 * updates - masked(updates, seeds)):
        return  # the other sign for every pair hides as well
    if not np.allclose(got.sum(axis=0), updates.sum(axis=0)):
        if np.allclose(got, _masked_added_twice(updates, seeds)):
            raise Wrong("both hospitals of a pair add the mask: one must subtract it, or the sum is wrong")
        raise Wrong("the sum over hospitals has changed: each mask must be added once and subtracted once")
    if np.allclose(got, got[0]):
        raise Wrong("the server should get one row per hospital, not the mean")
    if np.allclose(got[2:], updates[2:]):
        raise Wrong("only the first pair is masked: the server reads the others")
    raise Wrong("the sum is right, but the masks are not those of the agreed seeds: hospital i adds, j > i subtracts")


def masked(updates, seeds):
    sent = np.array(updates, float)
    for i in range(len(sent)):
        for j in range(i + 1, len(sent)):
            mask = np.random.default_rng(seeds[i][j]).normal(size=sent.shape[1])
            sent[i] += mask
            sent[j] -= mask
    return sent


def _masked_by_hospital(updates, seeds):
    n, p = np.shape(updates)
    rows = []
    for i in range(n):
        signs = [(j > i) - (j < i) for j in range(n)]
        rows.append(updates[i] + sum(sign * _mask(seeds[i][j], p) for j, sign in enumerate(signs) if sign))
    return np.array(rows)


def _masked_added_twice(updates, seeds):
    sent = np.array(updates, float)
    for i in range(len(sent)):
        for j in range(i + 1, len(sent)):
            sent[i] += _mask(seeds[i][j], sent.shape[1])
            sent[j] += _mask(seeds[i][j], sent.shape[1])
    return sent


def _masked_first_pair(updates, seeds):
    sent = np.array(updates, float)
    mask = _mask(seeds[0][1], sent.shape[1])
    sent[0] += mask
    sent[1] -= mask
    return sent


def _masked_own_noise(updates, seeds):
    return np.array([row + _mask(k, row.size) for k, row in enumerate(np.asarray(updates, float))])


def _check_clip(fn):
    for n, p, limit, z in ((6, 9, 1.0, 0.7), (11, 4, 0.5, 1.5)):
        seed = int(np.random.default_rng().integers(10**6))
        rng = np.random.default_rng(seed)
        updates = rng.normal(0, 1, (n, p)) * rng.choice([0.05, 3], (n, 1), p=[0.5, 0.5])
        updates[0], updates[1] = 0.02 * updates[0] / np.linalg.norm(updates[0]), 5 * updates[1]
        got = answer(fn, updates.copy(), limit, z, np.random.default_rng(seed))
        _judge_clip(shaped(got, (p,), f"return {p} numbers, not {{}}", float), updates, limit, z, seed)


def _judge_clip(got, updates, limit, z, seed):
    if np.allclose(got, private_mean(updates, limit, z, np.random.default_rng(seed))):
        return
    known = [
        (_clip_after, "you clip the mean: one person may still move it at will. Clip every row first"),
        (_clip_elements, "you clip each number: the norm of a row may still be √p times the limit"),
        (_clip_not, "nothing is clipped: then no amount of noise keeps a promise"),
        (_clip_to_the_limit, "small updates were blown up to the limit: scale by min(1, limit / norm)"),
        (_clip_noise_on_mean, "the noise belongs to the sum, before you divide by n; yours is n times too large"),
    ]
    values = [(wrong(updates, limit, z, np.random.default_rng(seed)), words) for wrong, words in known]
    recognise(got, values)
    raise Wrong("clip each row to the norm, sum, add z * limit * rng.standard_normal(p) once, and divide by n")


def private_mean(updates, limit, z, rng):
    norms = np.linalg.norm(updates, axis=1, keepdims=True)
    total = (updates * np.minimum(1, limit / norms)).sum(axis=0)
    return (total + z * limit * rng.standard_normal(total.size)) / len(updates)


def _private_mean_row_by_row(updates, limit, z, rng):
    total = np.zeros(updates.shape[1])
    for row in updates:
        norm = np.sqrt(np.sum(row**2))
        total += row * (limit / norm if norm > limit else 1)
    return (total + z * limit * rng.standard_normal(total.size)) / len(updates)


def _clip_after(updates, limit, z, rng):
    mean = updates.mean(axis=0)
    mean = mean * min(1, limit / np.linalg.norm(mean))
    return mean + z * limit * rng.standard_normal(mean.size) / len(updates)


def _clip_elements(updates, limit, z, rng):
    total = np.clip(updates, -limit, limit).sum(axis=0)
    return (total + z * limit * rng.standard_normal(total.size)) / len(updates)


def _clip_not(updates, limit, z, rng):
    return (updates.sum(axis=0) + z * limit * rng.standard_normal(updates.shape[1])) / len(updates)


def _clip_to_the_limit(updates, limit, z, rng):
    total = (updates * limit / np.linalg.norm(updates, axis=1, keepdims=True)).sum(axis=0)
    return (total + z * limit * rng.standard_normal(total.size)) / len(updates)


def _clip_noise_on_mean(updates, limit, z, rng):
    norms = np.linalg.norm(updates, axis=1, keepdims=True)
    mean = (updates * np.minimum(1, limit / norms)).mean(axis=0)
    return mean + z * limit * rng.standard_normal(mean.size)


EXERCISES = [
    Exercise(
        name="17-uids",
        task="Given files with UIDs, return new ones in which every UID is replaced, alike wherever it stands.",
        check=_check_uids,
        hint="Keep a dictionary old → new for all files together; ask fresh() only for UIDs that are not in it yet.",
        reference=remap,
        alternatives=(_remap_in_two_passes,),
        mistakes={
            "a new one at every place": _remap_everywhere_anew,
            "a table for each file": _remap_per_file,
            "references forgotten": _remap_without_references,
            "in place": _remap_in_place,
        },
    ),
    Exercise(
        name="17-masks",
        task="Given updates and pairwise seeds, return what a server receives under secure aggregation.",
        check=_check_masks,
        hint="Two loops, i and j > i: one mask from seeds[i][j]; sent[i] += mask, sent[j] -= mask.",
        reference=masked,
        alternatives=(_masked_by_hospital,),
        mistakes={
            "no masks": lambda updates, seeds: np.array(updates),
            "both add": _masked_added_twice,
            "own noise": _masked_own_noise,
            "the mean": lambda updates, seeds: np.tile(np.mean(updates, axis=0), (len(updates), 1)),
            "the first pair only": _masked_first_pair,
        },
    ),
    Exercise(
        name="17-clip",
        task="Given one update per person, return the mean with clipping and noise that keeps a promise.",
        check=_check_clip,
        hint="Norms by np.linalg.norm(updates, axis=1, keepdims=True); scale rows by np.minimum(1, limit / norms).",
        reference=private_mean,
        alternatives=(_private_mean_row_by_row,),
        mistakes={
            "the mean is clipped": _clip_after,
            "numbers clipped": _clip_elements,
            "not clipped": _clip_not,
            "always at the limit": _clip_to_the_limit,
            "noise on the mean": _clip_noise_on_mean,
        },
    ),
]
