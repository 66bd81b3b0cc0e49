"""Blocks as their authors write them: variables, results, lines, limits, the way out."""

import json
from typing import Any

import pytest

from macroslow.adapters.sandbox import NATIVE
from macroslow.workflow.sandbox import Block, BlockStatus, Level


def python(code: str, name: str = "one", **more: Any) -> Block:
    return Block("python", name, code, **more)


def bash(code: str, name: str = "two", **more: Any) -> Block:
    return Block("bash", name, code, **more)


def test_python_blocks_share_their_variables_and_bash_reads_the_inputs(gateway: Any) -> None:
    outcome = gateway.run(
        python("total = n + inputs['n']\nprint(total)"),
        bash("cat $MAML_INPUTS; echo error >&2"),
        python("print(total + 1)", "three"),
        inputs={"n": 20},
    )
    assert [block.stdout for block in outcome.blocks] == ["40\n", '{"n": 20}', "41\n"]
    assert outcome.blocks[1].stderr == "error\n"
    assert {block.status for block in outcome.blocks} == {BlockStatus.OK}
    assert (outcome.backend, outcome.level) == (
        gateway.backend,
        Level.FULL if gateway.backend == NATIVE else Level.REDUCED,
    )


def test_an_input_becomes_a_variable_unless_its_name_means_something(gateway: Any) -> None:
    names = [
        "good",
        "_ok",
        "class",
        "print",
        "__name__",
        "inputs",
        "result",
        "main",
        "apis",
        "sources",
        "no-name",
    ]
    code = "print(sorted(k for k in globals() if globals()[k] == 'mine'), len(inputs), __name__)"
    outcome = gateway.run(python(code), inputs=dict.fromkeys(names, "mine"))
    assert outcome.blocks[0].stdout == "['_ok', 'good'] 11 __main__\n"


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([python("def main(inputs):\n  return {'n': inputs['n'] * 2}\nresult = 1")], {"n": 6}),
        ([python("def main(i):\n  return 1"), python("result = [main(0), n]")], [1, 3]),
        ([python("result = 'ü'"), bash("echo 5")], "ü"),
        ([bash("echo x; echo '{\"a\": [1, null]}'")], {"a": [1, None]}),
        ([python("result = 7"), python("print(8)")], 7),
        ([bash("echo plain text")], None),
        ([bash("echo '[NaN]'")], None),
        ([bash("printf '[%.0s' $(seq 20000)")], None),
        ([bash("true")], None),
    ],
)
def test_the_result_is_what_the_last_blocks_say(gateway: Any, blocks: list[Block], expected: Any) -> None:
    outcome = gateway.run(*blocks, inputs={"n": 3})
    assert all(block.status is BlockStatus.OK for block in outcome.blocks)
    found = None if outcome.result_json is None else json.loads(outcome.result_json)
    assert found == expected


def test_a_failing_block_ends_the_run_and_names_the_documents_line(gateway: Any) -> None:
    code = "def f(x):\n    return 1 / x\n\nf(0)"
    outcome = gateway.run(bash("true"), python(code, "divide", line=40), bash("echo never", "last"))
    first, failed, last = outcome.blocks
    assert (first.status, failed.status, last.status) == (
        BlockStatus.OK,
        BlockStatus.ERROR,
        BlockStatus.SKIPPED,
    )
    assert failed.error == "ZeroDivisionError: division by zero (line 41)"
    assert failed.exit_code == 1
    assert 'File "<block divide>", line 43, in <module>\n    f(0)\n' in failed.stderr
    assert "return 1 / x" in failed.stderr
    assert "macroslow" not in failed.stderr
    assert "cells.py" not in failed.stderr
    assert outcome.result_json is None
    assert last.stdout == ""


def test_an_error_of_syntax_names_its_line(gateway: Any) -> None:
    (block,) = gateway.run(python("x = 1\nif x\n    pass", line=10)).blocks
    assert block.status is BlockStatus.ERROR
    assert "SyntaxError" in block.error
    assert "line 11" in block.stderr
    assert "if x" in block.stderr


def test_bash_counts_lines_as_the_document_does(gateway: Any) -> None:
    (block,) = gateway.run(bash("true\nno-such-command", line=30)).blocks
    assert "line 31: no-such-command" in block.stderr
    assert (block.status, block.exit_code) == (BlockStatus.ERROR, 127)
    assert block.error == "The block ended with exit code 127."


@pytest.mark.parametrize(
    ("block", "status", "exit_code"),
    [
        (python("raise SystemExit(0)"), BlockStatus.OK, 0),
        (python("import sys; sys.exit(5)"), BlockStatus.ERROR, 5),
        (python("import sys; sys.exit('gone')"), BlockStatus.ERROR, 1),
        (python("import os; os._exit(9)"), BlockStatus.ERROR, 9),
        (python("import os; os.abort()"), BlockStatus.CRASH, None),
        (python("import ctypes; ctypes.string_at(0)"), BlockStatus.CRASH, None),
        (bash("exit 3"), BlockStatus.ERROR, 3),
    ],
)
def test_the_ways_to_end(gateway: Any, block: Block, status: BlockStatus, exit_code: int | None) -> None:
    (ended,) = gateway.run(block).blocks
    assert (ended.status, ended.exit_code) == (status, exit_code), ended
    assert bool(ended.error) == (status is not BlockStatus.OK)


def test_a_block_killed_by_its_own_signal_is_a_crash_with_that_name(gateway: Any) -> None:
    (block,) = gateway.run(bash("kill -TERM $$; sleep 5")).blocks
    assert (block.status, block.limit) == (BlockStatus.CRASH, "")
    assert "SIGTERM" in block.error


def test_time_is_limited_by_block_and_by_run(gateway: Any) -> None:
    (block,) = gateway.run(bash("echo begun; sleep 30", timeout_s=0.4)).blocks
    assert (block.status, block.limit, block.stdout) == (BlockStatus.TIMEOUT, "timeout_s", "begun\n")
    assert 400 <= block.duration_ms < 15_000
    blocks = gateway.run(
        python("import time; time.sleep(0.1)"), python("time.sleep(30)"), limits={"wall_s": 2.5}
    ).blocks
    assert [each.status for each in blocks] == [BlockStatus.OK, BlockStatus.TIMEOUT]
    assert blocks[1].limit == "wall_s"
    assert blocks[1].peak is not None
    assert 2 <= blocks[1].peak < 15


def test_processor_time_is_limited_for_all_processes_together(gateway: Any) -> None:
    burn = "for i in 1 2 3; do (while :; do :; done) & done; wait"
    (block,) = gateway.run(bash(burn), limits={"cpu_s": 1, "wall_s": 60.0}).blocks
    assert (block.status, block.limit) == (BlockStatus.CPU, "cpu_s")
    assert block.peak is not None
    assert 1 <= block.peak < 15  # when it was looked at
    assert "processor time" in block.error


def test_the_time_of_children_that_nobody_waits_for_counts_too(gateway: Any) -> None:
    burn = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        while time.process_time() < 0.2:
            pass
        os._exit(0)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
"""
    (block,) = gateway.run(python(burn), limits={"cpu_s": 2, "wall_s": 60.0}).blocks
    assert (block.status, block.limit) == (BlockStatus.CPU, "cpu_s"), block


def test_output_is_kept_up_to_its_limit(gateway: Any) -> None:
    (block,) = gateway.run(
        bash("head -c 300000 /dev/zero | tr '\\0' x"), limits={"output_bytes": 100_000}
    ).blocks
    assert block.status is BlockStatus.OUTPUT
    assert block.stdout == "x" * 100_000
    (whole,) = gateway.run(
        bash("head -c 100000 /dev/zero | tr '\\0' x"), limits={"output_bytes": 100_000}
    ).blocks
    assert (whole.status, len(whole.stdout)) == (BlockStatus.OK, 100_000)


def test_a_second_run_sees_nothing_of_the_first(gateway: Any) -> None:
    first = (
        "import os, random, json\nopen(os.environ['TMPDIR'] + '/left', 'w')\nopen('left', 'w')\n"
        "json.left = 1; os.environ['LEFT'] = '1'; print(random.random(), os.urandom(4).hex())"
    )
    second = (
        "import os, random, json\n"
        "left = [n for n in (*os.listdir('.'), *os.listdir(os.environ['TMPDIR'])) if n == 'left']\n"
        "print(random.random(), left, hasattr(json, 'left'), 'LEFT' in os.environ)"
    )
    before = gateway.run(python(first), inputs={}).blocks[0]
    after = gateway.run(python(second), inputs={}).blocks[0]
    assert before.status is BlockStatus.OK, before
    number, rest = after.stdout.split(" ", 1)
    assert rest == "[] False False\n"
    assert number != before.stdout.split(" ")[0]


def test_the_way_out_leads_to_the_gateway_and_nowhere_else(gateway: Any) -> None:
    code = (
        "import os, socket\n"
        "port = int(os.environ['BASE_URL'].rsplit(':', 1)[1])\n"
        "with socket.create_connection(('127.0.0.1', port)) as way: \n"
        "    way.sendall(b'hello\\n'); print(way.recv(100).decode(), end='')\n"
        "print(apis['weather'] == os.environ['MAML_API_WEATHER'] == f'http://127.0.0.1:{port}/api/weather')\n"
    )
    outcome = gateway.run(
        python(code),
        bash("echo $MAML_API_WEATHER; exec 3<>/dev/tcp/127.0.0.1/${BASE_URL##*:}; echo sh >&3; cat <&3"),
        environment={"BASE_URL": "http://127.0.0.1:{port}"},
        apis={"weather": "/api/weather"},
        wants_egress=True,
    )
    assert outcome.blocks[0].stdout == "egress: hello\nTrue\n", outcome
    assert outcome.blocks[1].stdout.endswith("/api/weather\negress: sh\n"), outcome


def test_an_attempt_to_call_out_directly_says_what_the_document_must_list(gateway: Any) -> None:
    code = "import urllib.request\nurllib.request.urlopen('http://api.example.com/data', timeout=50)"
    (block,) = gateway.run(python(code)).blocks
    assert block.status is BlockStatus.ERROR
    assert "'api.example.com'" in block.error
    assert '"api://NAME" under permissions.execute' in block.error
    assert block.duration_ms < 25_000
    assert "cells.py" not in block.stderr


def test_scheduling_limits_and_descriptors_are_not_inherited(gateway: Any) -> None:
    code = (
        "import os, resource\n"
        "def is_open(descriptor):\n"
        "    try:\n        return bool(os.fstat(descriptor))\n    except OSError:\n        return False\n"
        "print(os.sched_getscheduler(0), os.nice(0) >= 10, resource.getrlimit(resource.RLIMIT_CORE),\n"
        "      sum(map(is_open, range(1024))), os.umask(0))"
    )
    (block,) = gateway.run(python(code)).blocks
    # Three streams, the channel to init and the pipe for the result.
    assert block.stdout == "0 True (0, 0) 5 63\n", block
    (shell,) = gateway.run(bash("for n in $(seq 0 255); do (: <&$n) 2>/dev/null && echo $n; done")).blocks
    assert shell.stdout.split() in (["0", "1", "2"], ["0", "1", "2", "255"])  # 255: bash, its script
