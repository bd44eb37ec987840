"""An incident, invented: the audit log of a hospital's software, five documents, and who owed what.

The log's columns are what the course's own tool writes beside a result (:data:`RECEIPT`), and what a log needs besides.
Every row is sealed: its seal depends on what it says and on the seal of the row before.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from medsr_course import resources

Row = dict[str, str]

# Of the provenance that ``medsr enhance`` writes.
RECEIPT = ("task", "scale", "quality", "network", "version", "checksum", "engine", "software", "domain", "not_for")
FIELDS = ("number", "time", "event", "scan", "age", "contrast", *RECEIPT, "confirmed_by", "sent_to", "seal")
ADULT = 18
CONTRASTS = ("T1w", "T2w", "FLAIR")  # of the intended use
MACHINE = "night-batch"  # the account that is no person
START = "0" * 16  # what stands in place of the seal before the first row
NETWORKS = ("srcnn-x2", "espcn-x2")  # before the update and after it

# What went wrong → whose duty it was, and the clause that says so.
OWED = {
    "the update was not announced 14 days before": ("maker", "2.1"),
    "version 2.0 was released without a test on FLAIR": ("maker", "2.1"),
    "an account that is no person confirms cautions": ("maker", "1.4"),
    "results of version 2.0 were used before it was accepted": ("hospital", "2.2"),
    "a child's scan was sent through the software": ("hospital", "1.2"),
    "the reading room did not get the original images": ("hospital", "2.4"),
    "a row of the log was changed, and nobody checked the seals": ("hospital", "2.3"),
    "the maker was told after 19 days": ("hospital", "2.5"),
    "the result was read without the original": ("radiologist", "1.3"),
    "a lesion of one and a half voxels became fainter": ("nobody", "1.5"),
}
PARTIES = ("maker", "hospital", "radiologist", "nobody")


def documents() -> list[str]:
    """The five documents, in Markdown: intended use, contract, acceptance protocol, release note, incident form."""
    return [path.read_text(encoding="utf-8") for path in sorted(resources.path("incident").glob("*.md"))]


def seal(row: Mapping[str, str], before: str) -> str:
    """The seal of a row: 16 hexadecimal digits of SHA-256 over the seal before and all that the row says."""
    said = "|".join([before, *(row[field] for field in FIELDS if field != "seal")])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def log(cards: Mapping[str, Mapping[str, str]], seed: int = 0) -> list[Row]:
    """The hospital's log, some 200 rows: scans, the update, the acceptance of the new version, and one row changed.

    Parameters
    ----------
    cards : mapping
        Of each of :data:`NETWORKS` its ``version``, ``checksum`` and ``engine``.
    seed : int
        Other seeds give other patients, and other places of what went wrong.

    Returns
    -------
    list of dict
        Rows in order of time, all values text, with the columns of :data:`FIELDS`.
    """
    rng = np.random.default_rng([17, seed])
    update = int(rng.integers(90, 110))
    accepted = update + int(rng.integers(35, 50))
    time, rows = datetime(2031, 3, 3, 7), []
    for number in range(1, 201):
        time += timedelta(minutes=int(rng.integers(60, 240)))
        row = dict.fromkeys(FIELDS, "") | {"number": str(number), "time": time.isoformat(timespec="minutes")}
        network = NETWORKS[number >= update]
        row |= dict(cards[network]) | {"network": network, "software": f"FineHead {1 + (number >= update)}.0"}
        if number in (update, accepted):
            row["event"] = "update installed" if number == update else "acceptance passed"
        else:
            row |= _scan(rng, time, number > update)
        rows.append(row)
    _sealed(rows)
    changed = rng.choice([k for k, row in enumerate(rows[update:-5], update) if row["domain"] == "caution"])
    rows[changed]["domain"] = "in domain"
    return rows


def _scan(rng: np.random.Generator, time: datetime, new: bool) -> Row:
    """What the log says of one scan that was enhanced; ``new``: by the version that confirms by itself at night."""
    age = int(rng.integers(3, ADULT)) if rng.random() < (0.08 if new else 0.02) else int(rng.integers(ADULT, 90))
    contrast = str(rng.choice([*CONTRASTS, "PDw"], p=[0.4, 0.25, 0.3, 0.05]))
    caution = rng.random() < 0.25 or age < ADULT
    night = time.hour < 7 or time.hour >= 19
    person = f"r{rng.integers(1, 7):02d}"
    return {
        "event": "enhanced",
        "scan": f"{rng.integers(16**6):06x}",
        "age": str(age),
        "contrast": contrast,
        "task": "super-resolution",
        "scale": "2",
        "quality": "fast",
        "domain": "caution" if caution else "in domain",
        "not_for": "research, not for diagnosis",
        "confirmed_by": (MACHINE if night and new else person) if caution else "",
        "sent_to": "research disk" if rng.random() < 0.15 else "reading room",
    }


def _sealed(rows: Sequence[Row]) -> None:
    before = START
    for row in rows:
        row["seal"] = before = seal(row, before)


def found(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """What the log says: the answers to the chapter's first exercise.

    Returns
    -------
    dict
        ``update``, the number of the row at which the network changes; ``unaccepted``, how many scans were enhanced
        by the new version before it was accepted; ``outside``, how many scans are outside the intended use (age or
        contrast); ``machine``, how many cautions no person confirmed; ``changed``, the number of the row that was
        changed after it was sealed.
    """
    scans = [row for row in rows if row["event"] == "enhanced"]
    first = rows[0]["checksum"]
    update = next(int(row["number"]) for row in rows if row["checksum"] != first)
    accepted = next(int(row["number"]) for row in rows if row["event"] == "acceptance passed")
    seals = [START, *(row["seal"] for row in rows)]
    broken = [row for row, before in zip(rows, seals, strict=False) if row["seal"] != seal(row, before)]
    return {
        "update": update,
        "unaccepted": sum(update < int(row["number"]) < accepted for row in scans),
        "outside": sum(int(row["age"]) < ADULT or row["contrast"] not in CONTRASTS for row in scans),
        "machine": sum(row["confirmed_by"] == MACHINE for row in scans),
        "changed": int(broken[0]["number"]),
    }
