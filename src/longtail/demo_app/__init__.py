"""A page in the browser that names what an image shows, with the experts' votes and heat maps."""

from longtail.demo_app.app import NEEDS_GRADIO, Running, start

__all__ = ["NEEDS_GRADIO", "Running", "start"]
