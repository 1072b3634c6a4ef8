"""The demo page: one question answered plainly and by Skeleton-of-Thought, side by side, against the clock.

Needs the extra `demo` (Gradio), which is imported when a page is made. Nothing is sent to anybody: Gradio's
analytics are switched off, and the page may load from its own server only.
"""

from sot_command.demo.lanes import Lane, SideBySide
from sot_command.demo.server import application, listen, serve

__all__ = ["Lane", "SideBySide", "application", "listen", "serve"]
