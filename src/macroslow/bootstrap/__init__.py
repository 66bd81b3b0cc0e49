"""The one place where implementations are chosen and wired.

Assemblies inside one another: the sandbox's helper process, started before any secret is known; the
core (state folder, keys, books), which is all that commands on keys, logs and reports need; the
gateway, which resolves the providers' secrets and does paid work; the edges, which serve it.

Nothing is imported here: each module is imported by whoever needs that much of the gateway.
"""
