"""The files of the demo's parties: package data, except the configuration, which names ports."""

from importlib.resources import files


def document(name: str) -> bytes:
    """One of the documents beside this module, unsigned."""
    return files("macroslow.cli.demo").joinpath("documents", f"{name}.maml.md").read_bytes()


def configuration(base_url: str, rpm: int, tpm: int) -> str:
    """macroslow.toml of the demo's operator."""
    return f"""\
[documents]
signatures = "required"

[providers.openai]
base_url = "{base_url}"
key = "env:OPENAI_API_KEY"
emulator = true

[providers.openai.limits]
rpm = {rpm}
tpm = {tpm}
window = "bucket"    # how this provider counts; left out, it is learned from its answers
charge = "used"
pace = "minute"

[server]
shutdown_grace_s = 2.0

[log]
keys = "state"       # the forger has them too
"""
