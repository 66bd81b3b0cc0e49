"""A call of a model or of an outside API: admitted, paid for, sent, settled."""
