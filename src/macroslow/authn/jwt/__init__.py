"""JSON Web Tokens as credentials: pure rules, no I/O and no clock (RFC 7519, RFC 8725, RFC 9068)."""
