"""Where the providers of images are asked, unless the operator names another place."""

from typing import Final

UNSPLASH: Final = "https://api.unsplash.com"
PIXABAY: Final = "https://pixabay.com"
