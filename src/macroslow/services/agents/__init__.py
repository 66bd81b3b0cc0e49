"""The tools and resources that agents use over MCP, each one a use case with its arguments taken apart.

Arguments have passed the tool's schema; results are of its output schema.
"""
