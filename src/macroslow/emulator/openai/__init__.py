"""The routes of OpenAI: chat completions, responses, embeddings, models, usage."""
