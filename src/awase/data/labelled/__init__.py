"""Images with their classes: one module a layout, each with `fits` and `open_images`."""
