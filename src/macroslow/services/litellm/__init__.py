"""Coming from LiteLLM: its configuration and its keys."""
