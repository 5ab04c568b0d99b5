"""What each tissue looks like in each modality, how that varies, and the ideal signal of a subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_monai.phantom.anatomy import Tissues
from kd_monai.phantom.grid import Volume
from kd_monai.phantom.tumour import Grade, Parts
from kd_monai.task import MODALITIES


@dataclass(frozen=True)
class Spread:
    """A normal distribution cut at 1.6 standard deviations."""

    mean: float
    sd: float

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        return self.mean + self.sd * float(np.clip(rng.standard_normal(), -1.6, 1.6))


# Signal of normal tissue and of oedema (over white matter), of the necrotic or non-enhancing core and of enhancing
# tumour (over oedema). Set so that the phantom's z-scores and ratios come out as in n = 22 real BraTS 2018 cases at
# 2 mm.
_NORMAL: dict[str, dict[str, Spread]] = {
    "t1": {"grey": Spread(0.79, 0.05), "csf": Spread(0.38, 0.08)},
    "t1ce": {"grey": Spread(0.84, 0.05), "csf": Spread(0.48, 0.09)},
    "t2": {"grey": Spread(1.20, 0.10), "csf": Spread(2.70, 0.55)},
    "flair": {"grey": Spread(1.07, 0.07), "csf": Spread(0.48, 0.12)},
}
_TUMOUR: dict[Grade, dict[str, dict[str, Spread]]] = {
    "HGG": {
        "t1": {"oedema": Spread(0.86, 0.07), "core": Spread(0.86, 0.08), "enhancing": Spread(0.95, 0.06)},
        "t1ce": {"oedema": Spread(0.89, 0.06), "core": Spread(0.94, 0.10), "enhancing": Spread(1.43, 0.13)},
        "t2": {"oedema": Spread(1.65, 0.19), "core": Spread(1.30, 0.22), "enhancing": Spread(1.06, 0.12)},
        "flair": {"oedema": Spread(1.82, 0.23), "core": Spread(1.14, 0.17), "enhancing": Spread(1.03, 0.12)},
    },
    "LGG": {
        "t1": {"oedema": Spread(0.90, 0.08), "core": Spread(0.80, 0.10), "enhancing": Spread(0.95, 0.10)},
        "t1ce": {"oedema": Spread(0.89, 0.08), "core": Spread(0.87, 0.12), "enhancing": Spread(1.26, 0.16)},
        "t2": {"oedema": Spread(1.57, 0.17), "core": Spread(1.25, 0.22), "enhancing": Spread(0.95, 0.12)},
        "flair": {"oedema": Spread(1.64, 0.20), "core": Spread(1.03, 0.13), "enhancing": Spread(0.92, 0.12)},
    },
}
# variation inside the tumour, as a fraction of the part's own signal
TEXTURE = {"t1": 0.06, "t1ce": 0.08, "t2": 0.12, "flair": 0.12}
# the same for normal tissue
GRAIN = {"t1": 0.035, "t1ce": 0.04, "t2": 0.065, "flair": 0.07}
# what fluid deep in the core adds to the core's signal, as a fraction of it
FLUID = {"t1": -0.12, "t1ce": -0.10, "t2": 0.12, "flair": -0.30}
# white-matter hyperintensities and enhancing vessels, over white matter
HYPERINTENSITY = {"t1": 0.88, "t1ce": 0.90, "t2": 1.45, "flair": 1.55}
VESSEL = {"t1": 0.95, "t1ce": 2.2, "t2": 0.7, "flair": 0.9}


@dataclass(frozen=True)
class Signals:
    """Signal of each tissue in one modality of one subject; white matter is 1.

    Args:
        fluid: in [0, 1], how cystic the core is.
    """

    grey: float
    csf: float
    oedema: float
    core: float
    enhancing: float
    fluid: float


def draw_signals(rng: np.random.Generator, grade: Grade) -> dict[str, Signals]:
    """Draw one subject's contrast: it differs between scanners and between tumours.

    Radiology's order always holds. CSF is dark on T1 and FLAIR and bright on T2. Oedema is bright on T2 and FLAIR. The
    core is darkest on T1. Enhancing tumour is brighter than oedema on T1ce.
    """
    signals, fluid = {}, float(rng.uniform(0, 1))
    for modality in MODALITIES:
        normal, tumour = _NORMAL[modality], _TUMOUR[grade][modality]
        oedema = tumour["oedema"].draw(rng)
        signals[modality] = Signals(
            grey=normal["grey"].draw(rng),
            csf=normal["csf"].draw(rng),
            oedema=oedema,
            core=oedema * tumour["core"].draw(rng),
            enhancing=oedema * tumour["enhancing"].draw(rng),
            fluid=fluid,
        )
    return signals


def paint(
    modality: str, signals: Signals, tissues: Tissues, parts: Parts, vessels: Volume, spots: Volume, texture: Volume
) -> Volume:
    """Noise-free signal of one modality; white matter is 1.

    Oedema lets anatomy shine through: s' = s + w (oedema + 0.4 (s - 1) - s) with membership w, and leaves CSF alone.
    Core and enhancing tumour replace what was there.
    """
    signal = tissues.white + signals.grey * tissues.grey + signals.csf * tissues.csf
    signal += spots * (HYPERINTENSITY[modality] - signal)
    signal *= 1 + GRAIN[modality] * texture
    grain = 1 + TEXTURE[modality] * texture
    fluid = 1 + FLUID[modality] * signals.fluid * np.clip(parts.depth_mm / 14, 0, 1)
    w = parts.whole * (1 - tissues.csf)
    signal += w * (signals.oedema * grain + 0.4 * (signal - 1) - signal)
    signal += parts.core * (signals.core * grain * fluid - signal)
    signal += parts.enhancing * (signals.enhancing * grain - signal)
    signal += vessels * (1 - 0.8 * parts.core) * (VESSEL[modality] - signal)
    return signal.astype(np.float32)
