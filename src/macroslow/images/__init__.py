"""Images, as data: what is searched and found."""
