"""Make torchvision importable where its compiled extension does not fit the installed torch."""

import sys

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def declare_missing_operators() -> bool:
    """Whether torchvision can be imported afterwards: False where it is not installed.

    PyPI's torchvision is built for PyPI's CUDA torch. Beside a CPU build of the same version its
    extension cannot be loaded, and then `import torchvision` (also by diffusers) fails with
    "operator torchvision::nms does not exist", since it registers shape functions for two operators
    that the extension would have declared. Only in that case their schemas are declared here; the
    parts in Python (data sets, transforms, picture grids) then work.
    """
    try:
        import torchvision
    except ModuleNotFoundError:
        return False
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for schema in SCHEMAS:
            library.define(schema)
        import torchvision

        torchvision.declared_operators = library  # they last as long as this object
    return True
