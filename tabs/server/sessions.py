"""What the server keeps for each visitor: the values of `gr.State`, and no copy of the page."""

import datetime
from copy import copy
from typing import Any

from gradio.components import State
from gradio.state_holder import SessionState, StateHolder


class LightSession(SessionState):
    """A session without the configuration of every component.

    Gradio keeps that for its deep links, which this app does not use (see `tabs/permalink.py`),
    and makes it anew for each call of an API client: 25 ms of computing and 0.2 MB.
    """

    def __init__(self, blocks: Any) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, State):
            self._state_ttl[key] = block.time_to_live, datetime.datetime.now()
            self.state_data[key] = value
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Nothing to keep up to date."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing to keep up to date."""


class LightSessions(StateHolder):
    """Gradio's sessions, each a `LightSession`."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LightSession(self.blocks)
        return super().__getitem__(session_id)
