"""From a datalist's entry to what MONAI's loaders expect, and to the channels in their order."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Transform


class SelectImages(Transform):
    """Replaces the entry's ``{modality: path}`` by the paths of the given modalities, in their order.

    Modalities that share one 4-D file give that file once. Keeps image, label, subject and ``channels`` alone.

    Raises:
        KeyError: the entry lacks a modality.
    """

    def __init__(self, modalities: tuple[str, ...], with_label: bool = True) -> None:
        self.modalities = modalities
        self.with_label = with_label

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        missing = [modality for modality in self.modalities if modality not in data["image"]]
        if missing:
            raise KeyError(
                f"subject {data['subject']}: the network reads {', '.join(self.modalities)}, but the entry has no "
                f"{', '.join(missing)}. Load the datalist with these modalities."
            )
        paths = list(dict.fromkeys(str(data["image"][modality]) for modality in self.modalities))
        channels = data.get("channels")
        item: dict[Hashable, Any] = {
            "image": paths[0] if len(paths) == 1 else paths,
            "subject": data["subject"],
            "channels": [channels[modality] for modality in self.modalities] if channels else None,
        }
        if self.with_label:
            item["label"] = str(data["label"])
        return item


class SelectChannels(Transform):
    """Takes ``channels`` of a 4-D file out of the image (C, H, W, D), and drops the key."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = {key: value for key, value in data.items() if key != "channels"}
        if data["channels"] is not None:
            item["image"] = item["image"][data["channels"]]
        return item
