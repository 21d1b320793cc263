"""Two pictures, their grids of codes, and the edited grid."""

from tabs.components.custom_html import CustomHTML


class CodeBoard(CustomHTML):
    """Grids of codes with their tools; the event `edit` requests the edit in `line`."""

    asset, scripts = "code_board", ("dom", "canvas", "code_board")

    def __init__(self, value: dict, elem_id: str):
        super().__init__(value, elem_id=elem_id, elem_classes="results codes")
