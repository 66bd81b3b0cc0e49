"""`macroslow demo`: a thief, an overspender and a forger against a real gateway, offline.

Every process is the real command line, every request real HTTP, every figure counted here or by the
programs that ran. Acts observe; pure functions judge what was observed, so that a test can show
each of them a world in which it must say no.
"""
