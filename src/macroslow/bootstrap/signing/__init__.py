"""The signer, as an assembly gets it."""
