"""The log is signed: checkpoints, witnesses, time stamps, and whether there is room for more."""
