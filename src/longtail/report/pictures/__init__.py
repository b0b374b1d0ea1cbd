"""What is drawn for the page: figures as SVG, thumbnails and heat maps. It knows facts, and no section."""
