"""The routes of Anthropic: messages, counting, models, usage."""
