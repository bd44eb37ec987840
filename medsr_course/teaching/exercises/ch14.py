"""Exercises of chapter 14: a split by person, the group that a mean hides, motion between lines of k-space."""

import numpy as np

from medsr_course.teaching.exercises._core import Exercise, Wrong, answer, recognise, shaped

# ---------------------------------------------------------------- a split by person


def _check_split(fn):
    for people, most, share in ((10, 6, 0.3), (8, 12, 0.25), (5, 4, 0.4)):
        rng = np.random.default_rng([people, most])
        persons = np.repeat(np.arange(people) + 100, rng.integers(2, most, people))
        persons = rng.permutation(persons)
        got = answer(fn, persons.copy(), share, np.random.default_rng(3))
        got = shaped(got, persons.shape, f"return one yes or no for each of the {persons.size} slices, not {{}}", bool)
        again = [np.asarray(fn(persons.copy(), share, np.random.default_rng(seed)), bool) for seed in range(4, 12)]
        _judge_split(got, again, persons, round(share * people))


def _judge_split(got, again, persons, wanted):
    there, here = set(persons[got]), set(persons[~got])
    if not there:
        raise Wrong("your test has no slices: the mask should be True for the slices of the test people")
    if there & here:
        raise Wrong(
            f"{len(there & here)} people have slices in both parts: the network is tested on people of its training"
        )
    if len(here) == wanted and len(there) != wanted:
        raise Wrong("your mask is True for the training people; it should be True for the test people")
    if len(there) != wanted:
        raise Wrong(f"{len(there)} people are in your test; a share of the *people*, rounded, would be {wanted}")
    if all(np.array_equal(got, mask) for mask in again):
        raise Wrong("another generator gives the same people: draw them with rng, not by their order in the file")


def split_by_person(persons, share, rng):
    names = np.unique(persons)
    chosen = rng.choice(names, round(share * len(names)), replace=False)
    return np.isin(persons, chosen)


def _split_by_order(persons, share, rng):
    names = list(dict.fromkeys(persons.tolist()))
    rng.shuffle(names)
    test = set(names[: round(share * len(names))])
    return np.array([person in test for person in persons])


def _split_slices(persons, share, rng):
    return rng.random(len(persons)) < share


def _split_first(persons, share, rng):
    names = np.unique(persons)
    return np.isin(persons, names[: round(share * len(names))])


def _split_turned(persons, share, rng):
    return ~split_by_person(persons, share, rng)


def _split_counting_slices(persons, share, rng):
    chosen, names = np.zeros(len(persons), bool), rng.permutation(np.unique(persons))
    for name in names:
        chosen |= persons == name
        if chosen.sum() > share * len(persons) * 1.8:
            break
    return chosen


# ---------------------------------------------------------------- what a mean hides


def _check_groups(fn):
    rng = np.random.default_rng(14)
    for sizes in ((40, 2, 7), (25, 3, 9), (12, 5, 6)):
        groups = np.repeat(["common", "rare", "other"], sizes)
        gains = rng.normal(0, 0.2, groups.size) + np.repeat([0.9, -0.6, 1.5], sizes)
        gains[0] = -3.0  # one bad scan in a good group
        order = rng.permutation(groups.size)
        gains, groups = gains[order], groups[order]
        got = answer(fn, gains.copy(), groups.copy())
        if not isinstance(got, tuple | list) or len(got) != 3:
            raise Wrong("return three things: the mean over groups, the name of the worst group, its mean")
        _judge_groups(got, gains, groups)


def _judge_groups(got, gains, groups):
    mean, name, worst = worst_group(gains, groups)
    if not np.isclose(float(got[0]), mean):
        recognise(
            got[0], [(gains.mean(), "the first number is the mean over scans, in which the large group counts most")]
        )
        raise Wrong("the first number is not the mean of the groups' means, each group counting once")
    if str(got[1]) != name:
        best = max(set(groups.tolist()), key=lambda g: gains[groups == g].mean())
        if str(got[1]) == best:
            raise Wrong("that is the best group; return the worst one")
        if str(got[1]) == groups[np.argmin(gains)]:
            raise Wrong("that is the group of the worst single scan; compare the means of the groups")
        raise Wrong("that is not the group with the lowest mean")
    if not np.isclose(float(got[2]), worst):
        raise Wrong("the last number is not that group's own mean")


def worst_group(gains, groups):
    means = {name: float(gains[groups == name].mean()) for name in np.unique(groups)}
    worst = min(means, key=means.get)
    return float(np.mean(list(means.values()))), str(worst), means[worst]


def _worst_by_sums(gains, groups):
    names, which = np.unique(groups, return_inverse=True)
    means = np.bincount(which, gains) / np.bincount(which)
    k = int(np.argmin(means))
    return means.mean(), names[k], means[k]


def _groups_over_scans(gains, groups):
    return (float(gains.mean()), *worst_group(gains, groups)[1:])


def _groups_worst_scan(gains, groups):
    name = str(groups[np.argmin(gains)])
    return worst_group(gains, groups)[0], name, float(gains[groups == name].mean())


def _groups_best(gains, groups):
    mean, _, _ = worst_group(gains, groups)
    name, _, value = worst_group(-gains, groups)[1], None, -worst_group(-gains, groups)[2]
    return mean, name, value


def _groups_lowest_value(gains, groups):
    mean, name, _ = worst_group(gains, groups)
    return mean, name, float(gains.min()) - 1e-3


# ---------------------------------------------------------------- one sudden movement


def _check_nod(fn):
    from medsr_course.tasks import sites

    rng = np.random.default_rng(1)
    for shape, first, shift in (((12, 10), 8, 1.5), ((16, 9), 10, -0.75), ((10, 14), 7, 2.0)):
        image = rng.normal(1, 1, shape)
        got = np.asarray(answer(fn, image.copy(), first, shift))
        shaped(got, shape, f"the result should have the shape of the slice, {shape}, not {{}}")
        if np.allclose(got, np.abs(sites.moved(image, _nods(shape[0], first, shift))), atol=1e-6):
            continue
        known = {
            "nothing has moved: your result is the slice as it was": (shape[0], shift, 0),
            "the whole slice has moved: lines before number first were read before the movement": (0, shift, 0),
            "the patient moved the other way: check the sign of the phase": (first, -shift, 0),
            "that is a movement along the columns; the head moved along the rows": (first, 0.0, shift),
        }
        for why, (start, down, across) in known.items():
            recognise(got, [(np.abs(sites.moved(image, _nods(shape[0], start, down, across))), why)], atol=1e-6)
        raise Wrong("that is not what the scanner stores: multiply lines first, first + 1, … by a phase along the rows")


def _nods(lines, first, down, across=0.0):
    late = np.arange(lines) >= first
    return np.stack([late * down, late * across], axis=1)


def nod(image, first, shift):
    from medsr_course.physics.acquisition import from_kspace, to_kspace

    h = image.shape[0]
    frequency = (np.arange(h) - h // 2) / h
    phase = np.where(np.arange(h) >= first, np.exp(-2j * np.pi * frequency * shift), 1)
    return np.abs(from_kspace(to_kspace(image) * phase[:, None]))


def _nod_two_scans(image, first, shift):
    from medsr_course.physics.acquisition import from_kspace, to_kspace
    from medsr_course.tasks import sites

    h = image.shape[0]
    before, after = to_kspace(image), to_kspace(sites.moved(image, np.tile([shift, 0.0], (h, 1))))
    return np.abs(from_kspace(np.concatenate([before[:first], after[first:]])))


def _nod_with(start=None, sign=1.0, along=0):
    def wrong(image, first, shift):
        from medsr_course.tasks import sites

        down, across = (sign * shift, 0.0) if along == 0 else (0.0, sign * shift)
        begin = first if start is None else start(image)
        return np.abs(sites.moved(image, _nods(image.shape[0], begin, down, across)))

    return wrong


EXERCISES = [
    Exercise(
        name="14-split",
        task="Given the person of each slice, return a mask of the test slices: a share of the people, drawn with rng.",
        check=_check_split,
        hint="np.unique(persons) lists the people once each; rng.choice draws some; np.isin finds their slices.",
        reference=split_by_person,
        alternatives=(_split_by_order,),
        mistakes={
            "slices instead of people": _split_slices,
            "the first people": _split_first,
            "mask turned round": _split_turned,
            "a share of the slices": _split_counting_slices,
        },
    ),
    Exercise(
        name="14-worst-group",
        task="Return the mean over groups (each counts once), the name of the worst group, and its mean.",
        check=_check_groups,
        hint="First the mean of each group: gains[groups == name].mean(). Then the mean and the minimum of those.",
        reference=worst_group,
        alternatives=(_worst_by_sums,),
        mistakes={
            "mean over scans": _groups_over_scans,
            "group of the worst scan": _groups_worst_scan,
            "best group": _groups_best,
            "worst scan's value": _groups_lowest_value,
        },
    ),
    Exercise(
        name="14-nod",
        task="Return the magnitude of a slice whose patient moved along the rows before line `first` was read.",
        check=_check_nod,
        hint="to_kspace, then multiply the lines from `first` on by exp(-2πi · frequency · shift), then from_kspace.",
        reference=nod,
        alternatives=(_nod_two_scans,),
        mistakes={
            "no motion": _nod_with(start=lambda image: image.shape[0]),
            "sign": _nod_with(sign=-1.0),
            "along the columns": _nod_with(along=1),
        },
    ),
]
