"""Import torchvision also where its compiled extension does not fit the installed torch."""

import sys
from types import ModuleType

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def import_torchvision() -> ModuleType:
    """The package `torchvision`, for its data sets and picture grids.

    PyPI's torchvision is built for PyPI's CUDA torch. Beside a CPU build of the same version its
    extension cannot be loaded, and then the import fails with "operator torchvision::nms does not
    exist", since it registers shape functions for two operators that the extension would have
    declared. Declaring their schemas here, only then, lets the pure Python parts work. ImportError
    with the cure where the package is missing.
    """
    try:
        import torchvision
    except ModuleNotFoundError as error:
        raise ImportError(
            "torchvision is not installed: `pip install -c constraints.txt -e '.[train]'`"
        ) from error
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for schema in SCHEMAS:
            library.define(schema)
        import torchvision

        torchvision.schemas = library  # the declarations last as long as this object
    return torchvision
