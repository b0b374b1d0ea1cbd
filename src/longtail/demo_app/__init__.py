"""A page in the browser that names what an image shows, with the experts' votes and heat maps."""

from longtail.demo_app.app import Running, load_gradio, start

__all__ = ["Running", "load_gradio", "start"]
