"""Requests as command-line agents send them: the members that were seen, with texts of our own.

Recorded from Codex 0.169 (/v1/responses) and Claude Code 2.1 (/v1/messages?beta=true) on a loopback server.
"""

from typing import Any

PNG = "iVBORw0KGgoAAAANSUhEUgAAAEAAAAAgCAIAAAAt/+nTAAAAP0lEQVR4nO3PQQ0AAAgEoNP+nTWFDzdo"

_EXEC = {
    "type": "function",
    "name": "exec_command",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]},
}

CODEX: dict[str, Any] = {
    "model": "gpt-5.1-codex",
    "stream": True,
    "input": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "developer",
            "content": [{"type": "input_text", "text": "Be brief."}],
        },
        {
            "type": "message",
            "id": "msg_2",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "<environment_context></environment_context>"},
                {"type": "input_text", "text": "say hello"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "think"}],
            "content": None,
            "encrypted_content": "gAAAAABo" * 20,
        },
        {
            "type": "function_call",
            "status": "completed",
            "id": "fc_1",
            "name": "exec_command",
            "arguments": '{"cmd": "echo hi"}',
            "call_id": "call_1",
        },
        {
            "type": "function_call_output",
            "id": "fco_1",
            "call_id": "call_1",
            "output": "Wall time: 0.0000 seconds\nhi",
        },
        {
            "type": "function_call_output",
            "id": "fco_2",
            "call_id": "call_2",
            "output": [
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "high"}
            ],
        },
    ],
    "tools": [
        _EXEC,
        {
            "type": "namespace",
            "name": "multi_agent_v1",
            "description": "Tools for sub-agents.",
            "tools": [{**_EXEC, "name": "close_agent"}],
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
        },
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "high", "summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "01a20196",
    "text": {"verbosity": "low"},
    "stream_options": {"reasoning_summary_delivery": "sequential_cutoff"},
    "client_metadata": {"turn_id": "01a20196", "x-codex-turn-metadata": '{"sandbox": "seccomp"}'},
}

CODEX_SEARCH = {"type": "web_search", "external_web_access": False}
"""What it offers besides unless its configuration says `web_search = "disabled"`."""

_EPHEMERAL = {"type": "ephemeral"}

CLAUDE_CODE: dict[str, Any] = {
    "model": "claude-opus-4-6",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>Skills</system-reminder>"},
                {"type": "text", "text": "read a.png"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hmm", "signature": "c2ln" * 10},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "/tmp/a.png"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "tool_use_id": "toolu_1",
                    "type": "tool_result",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "data": PNG, "media_type": "image/png"},
                        }
                    ],
                    "cache_control": {**_EPHEMERAL, "ttl": "1h"},
                }
            ],
        },
        {"role": "system", "content": "A reminder in the middle."},
    ],
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=sdk-cli;"},
        {"type": "text", "text": "You help.", "cache_control": _EPHEMERAL},
        {"type": "text", "text": "At length.", "cache_control": {**_EPHEMERAL, "scope": "global"}},
    ],
    "tools": [
        {
            "name": "Read",
            "description": "Reads a file.",
            "input_schema": {"type": "object", "properties": {"file_path": {"type": "string"}}},
            "eager_input_streaming": True,
        },
        {"name": "Later", "input_schema": {"type": "object"}, "defer_loading": True},
    ],
    "metadata": {"user_id": '{"device_id": "b2ebb309", "account_uuid": "", "session_id": "4189b7d6"}'},
    "max_tokens": 64000,
    "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
    "stream": True,
}

CLAUDE_CODE_TITLE: dict[str, Any] = {
    "model": "claude-opus-4-6",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "<session>read a.png</session>"}]}],
    "system": [{"type": "text", "text": "Generate a title."}],
    "metadata": {"user_id": "{}"},
    "max_tokens": 64000,
    "thinking": {"type": "disabled"},
    "temperature": 1,
    "output_config": {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}},
    },
    "stream": True,
}
