"""From tissue fractions and tumour memberships to an ideal signal."""

from __future__ import annotations

import numpy as np

from kd_monai.phantom.anatomy import Tissues
from kd_monai.phantom.contrast import FLUID, GRAIN, HYPERINTENSITY, TEXTURE, VESSEL, Signals
from kd_monai.phantom.grid import Volume
from kd_monai.phantom.tumour import Parts


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
