"""Files that an API call names: only those that were uploaded are accepted."""

import gradio as gr

from tabs.validation import uploaded_path


async def _keep_upload(path: str) -> str:
    return str(uploaded_path({"path": path}))


def accept_uploads_only(page: gr.Blocks, api_name: str) -> None:
    """Let the first input of an endpoint be an uploaded file, used in place.

    Gradio itself would copy any readable file and download any URL that a request names.
    """
    endpoint = next(fn for fn in page.fns.values() if fn.api_name == api_name)
    endpoint.inputs[0].async_move_resource_to_block_cache = _keep_upload
