"""The label order of a released checkpoint: its own, not that of class_labels_indices.csv."""

from collections.abc import Mapping

from earshot_training.errors import UserError
from earshot_training.labels.audioset import NUM_LABELS, Label, audioset_labels


def released_labels(label_dict: object, num_labels: int) -> tuple[Label, ...]:
    """List the AudioSet label of each class, in the order of the checkpoint's classes.

    `label_dict` leads from each class index to its label: as MIDs, as in the released files; as
    display names; or, where all 527 are there, as indices into class_labels_indices.csv. A class
    without a label, an unknown label and one that stands twice are each a UserError.
    """
    values = _in_order(label_dict, num_labels)
    known = _naming(values)
    labels = []
    for index, value in enumerate(values):
        if not isinstance(value, str | int) or value not in known:
            raise UserError(
                f"label_dict[{index}]: expected an AudioSet MID such as '/m/09x0r', got {value!r}"
            )
        labels.append(known[value])
    first: dict[str, int] = {}
    for index, label in enumerate(labels):
        if first.setdefault(label.mid, index) != index:
            raise UserError(
                f"label_dict: expected distinct labels, got {label.mid} ({label.name}) "
                f"for the classes {first[label.mid]} and {index}"
            )
    return tuple(labels)


def _in_order(label_dict: object, num_labels: int) -> list[object]:
    if not isinstance(label_dict, Mapping):
        raise UserError(
            "label_dict: expected a dict from class index to label beside the predictor, "
            f"got {type(label_dict).__name__}"
        )
    if set(label_dict) != set(range(num_labels)):
        raise UserError(
            f"label_dict: expected the classes 0 to {num_labels - 1} as keys, as many as the "
            f"predictor has, got {_shown(label_dict)}"
        )
    return [label_dict[index] for index in range(num_labels)]


def _naming(values: list[object]) -> Mapping[str | int, Label]:
    """Choose how the values name labels; one way for all of them."""
    labels = audioset_labels()
    if len(values) == NUM_LABELS and all(type(value) is int for value in values):
        return {label.index: label for label in labels}
    by_name = {label.name: label for label in labels}
    if values and all(isinstance(value, str) and value in by_name for value in values):
        return {label.name: label for label in labels}
    return {label.mid: label for label in labels}


def _shown(label_dict: Mapping[object, object]) -> str:
    keys = [repr(key) for key in label_dict]
    return f"{len(keys)} keys ({', '.join(keys[:3])}, ..)" if keys else "an empty dict"
