"""The vendors' words, by where a provider listens."""

import pytest

from macroslow.services.calls.gen_ai import Peer, operation_name, peer_of


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("https://api.openai.com/v1", Peer("openai", "api.openai.com", 443)),
        ("https://API.Anthropic.com", Peer("anthropic", "api.anthropic.com", 443)),
        ("https://team.openai.azure.com/openai/v1", Peer("azure.ai.openai", "team.openai.azure.com", 443)),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai",
            Peer("gcp.gemini", "generativelanguage.googleapis.com", 443),
        ),
        (
            "https://europe-west4-aiplatform.googleapis.com/v1",
            Peer("gcp.vertex_ai", "europe-west4-aiplatform.googleapis.com", 443),
        ),
        (
            "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1",
            Peer("aws.bedrock", "bedrock-runtime.eu-west-1.amazonaws.com", 443),
        ),
        ("https://ec2-1-2-3-4.eu-west-1.amazonaws.com", None),
        ("https://api.openai.com.evil.example/v1", None),
        ("https://notapi.openai.com.example", None),
        ("http://127.0.0.1:11434/v1", Peer("mine", "127.0.0.1", 11434)),
        ("http://[::1]/v1", Peer("mine", "::1", 80)),
    ],
)
def test_a_provider_has_its_vendors_word_or_its_own_name(url: str, peer: Peer | None) -> None:
    found = peer_of("mine", url)
    assert found == peer if peer else found.name == "mine"


def test_what_is_no_embedding_is_a_chat() -> None:
    names = ("chat.completions", "responses", "messages", "embeddings")
    assert [operation_name(name) for name in names] == ["chat", "chat", "chat", "embeddings"]
