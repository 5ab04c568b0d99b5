"""MONAI's random scale and shift without a new volume each: same draws, same bits, no 32 MiB of fresh pages."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import RandScaleIntensityd, RandShiftIntensityd


class RandScaleInPlaced(RandScaleIntensityd):
    """Scales floats where they are: only behind a transform that copied them."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize(None)
        if self._do_transform:
            self.scaler.randomize(None)
            for key in self.key_iterator(dict(data)):
                data[key].mul_(1 + self.scaler.factor)
        return dict(data)


class RandShiftInPlaced(RandShiftIntensityd):
    """Shifts floats where they are: only behind a transform that copied them."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize(None)
        if self._do_transform:
            self.shifter.randomize(None)
            for key in self.key_iterator(dict(data)):
                data[key].add_(self.shifter._offset)
        return dict(data)
