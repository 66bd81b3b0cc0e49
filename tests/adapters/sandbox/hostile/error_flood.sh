# Writes without end, to the other stream.
yes >&2
