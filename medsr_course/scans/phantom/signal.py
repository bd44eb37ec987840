r"""From tissue to signal: T1, T2 and proton density → image contrast, by the sequence's equation.

* spin echo: :math:`S = \rho\,(1 - e^{-TR/T_1})\,e^{-TE/T_2}`
* inversion recovery: :math:`S = \rho\,(1 - 2e^{-TI/T_1} + e^{-TR/T_1})\,e^{-TE/T_2}`, signed: where water
  and fat or CSF share a voxel their signals may cancel, as in a scanner.

(Bernstein, King & Zhou 2004, *Handbook of MRI Pulse Sequences*, chapters 14.2–14.3.) The values in
``data/tissues.json`` are published ones for 3 T, each with its source.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from medsr_course import resources
from medsr_course.types import Rng


@dataclass(frozen=True)
class Sequence:
    """One contrast's timing, milliseconds; ``ti`` None means spin echo."""

    tr: float
    te: float
    ti: float | None = None

    @property
    def is_spin_echo(self) -> bool:
        """Whether there is no inversion pulse."""
        return self.ti is None

    def signal(self, t1: Any, t2: Any, density: Any) -> Any:
        """Returns the signal, arbitrary unit, of tissue with T1 and T2 in ms and relative proton density."""
        if self.ti is None:
            recovery = 1 - np.exp(-self.tr / t1)
        else:
            recovery = 1 - 2 * np.exp(-self.ti / t1) + np.exp(-self.tr / t1)
        return density * recovery * np.exp(-self.te / t2)


# Ranges that clinical protocols at 3 T use (ms); each subject draws its own timing. The T1w contrast is
# inversion-prepared as in MPRAGE (Mugler & Brookeman 1990; TI at the centre of the readout) or a spin echo,
# whose contrast is weaker.
PROTOCOLS = {
    "T1w": (
        {"tr": (2000, 2500), "te": (2, 5), "ti": (1000, 1250)},
        {"tr": (450, 750), "te": (8, 15)},
    ),
    "T2w": ({"tr": (3500, 6000), "te": (80, 110)},),
    "PDw": ({"tr": (2500, 3500), "te": (10, 25)},),
    "FLAIR": ({"tr": (8000, 10000), "te": (80, 125), "ti": (2300, 2600)},),
}


def draw_sequence(rng: Rng, contrast: str) -> Sequence:
    """Returns a protocol for one subject."""
    protocol = PROTOCOLS[contrast][rng.integers(len(PROTOCOLS[contrast]))]
    return Sequence(**{name: float(rng.uniform(*limits)) for name, limits in protocol.items()})


@lru_cache(maxsize=1)
def tissues() -> dict[str, dict[str, float]]:
    """Returns the table of tissues: name → {"t1": ms, "t2": ms, "density": relative to water}."""
    table = json.loads(resources.path("tissues.json").read_text(encoding="utf-8"))
    return {row["tissue"]: {k: row[k] for k in ("t1", "t2", "density")} for row in table["tissues"]}


def draw_tissues(rng: Rng, spread: float = 0.04) -> dict[str, dict[str, float]]:
    """Returns the table with every value varied by a log-normal factor: people differ."""
    return {
        name: {k: v * float(np.exp(rng.normal(0, spread))) for k, v in values.items()}
        for name, values in tissues().items()
    }


def response(sequence: Sequence, tissue: dict[str, float], step: float = 0.01) -> tuple[float, float, float]:
    """Returns the signal of a tissue, and its change per unit relative change of (T1 and T2 together) and of density.

    Returns
    -------
    level, relaxation, density : float
    """
    t1, t2, rho = tissue["t1"], tissue["t2"], tissue["density"]
    level = sequence.signal(t1, t2, rho)
    slower = sequence.signal(t1 * (1 + step), t2 * (1 + step), rho)
    return float(level), float((slower - level) / step), float(level)
