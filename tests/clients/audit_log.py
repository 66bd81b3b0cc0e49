"""Audits a mirror of a log with aics-tlog, which knows Ed25519 alone.

audit_log.py LOG_PUB DIR [OLDER_CHECKPOINT…]: prints {size, tiles, bundles}, or ends with what is wrong.
"""

import json
import sys
from pathlib import Path

from aics_tlog import (
    FileSystemTileReader,
    VKey,
    audit_tiles,
    consistency_proof_from_tiles,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
)

key_file, mirror, *older = map(Path, sys.argv[1:])
lines = [line for line in key_file.read_text().splitlines() if line and not line.startswith("#")]
key: VKey = parse_vkey(lines[0])


def tree_of(checkpoint: Path) -> tuple[int, bytes]:
    """Size and root of a checkpoint that the key signed."""
    verdict = verify_checkpoint(parse_note(checkpoint.read_bytes()), key)
    if not verdict.ok or verdict.size is None or verdict.root is None:
        raise SystemExit(f"{checkpoint}: {verdict.error or 'not signed by the key'}")
    return verdict.size, verdict.root


size, root = tree_of(mirror / "checkpoint")
reader = FileSystemTileReader(mirror)
report = audit_tiles(reader, size, root)
for checkpoint in older:
    old_size, old_root = tree_of(checkpoint)
    proof = consistency_proof_from_tiles(reader, old_size, size)
    if not verify_consistency(old_size, size, old_root, root, proof):
        raise SystemExit(f"the tree of {size} entries does not extend that of {old_size}")
print(json.dumps({"size": report.size, "tiles": report.tiles, "bundles": report.bundles}))
