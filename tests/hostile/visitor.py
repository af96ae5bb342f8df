"""A visitor who clicks as fast as the server answers: Streamlit's protocol without a browser."""

from __future__ import annotations

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol


class Visitor:
    """One connected session.

    Args:
        address: The server, such as ``http://127.0.0.1:8501``.
    """

    def __init__(self, address: str) -> None:
        self._connection = connect(
            address.replace("http:", "ws:") + "/_stcore/stream",
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
        )

    def __enter__(self) -> Visitor:
        self._socket = self._connection.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._connection.__exit__(*why)

    def rerun(self, page: str) -> str:
        """Go to a page and wait until it is made; give what it showed as text."""
        asked = BackMsg()
        asked.rerun_script.page_name = page
        self._socket.send(asked.SerializeToString())
        shown = []
        while True:
            told = ForwardMsg.FromString(self._socket.recv(timeout=120))
            if told.WhichOneof("type") == "delta":
                shown.append(str(told.delta))
            if told.WhichOneof("type") == "script_finished":
                return "\n".join(shown)
