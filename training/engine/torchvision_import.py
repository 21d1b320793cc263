"""Import torchvision for its data sets and picture grids, or say how to install it."""

from types import ModuleType

from models.torchvision_ops import declare_missing_operators


def import_torchvision() -> ModuleType:
    """The package `torchvision`; ImportError with the cure where it is not installed."""
    if not declare_missing_operators():
        raise ImportError(
            "torchvision is not installed: `pip install -c constraints.txt -e '.[train]'`"
        )
    import torchvision

    return torchvision
