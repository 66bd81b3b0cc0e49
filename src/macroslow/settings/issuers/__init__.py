"""[auth]: issuers of tokens that count here, and what is usual of them."""
