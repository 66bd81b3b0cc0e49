"""The benchmarks run, and their last line says what it promises. How fast anything is, is not tested."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks import harness
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
MACHINE = {"machine", "load_average", "versions"}


def run(name: str, *options: str, path: str | None = None) -> tuple[dict[str, object], str]:
    """The object of the last line, and everything before it."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *options],
        env={**os.environ, "PATH": os.environ["PATH"] if path is None else path},
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *people, last = done.stdout.splitlines()
    return json.loads(last), "\n".join(people)


def assert_figures(figures: dict[str, object], *names: str) -> None:
    """Each is there, and is a number or null."""
    assert figures.keys() >= MACHINE
    for name in names:
        assert figures[name] is None or isinstance(figures[name], (int, float)), name


@pytest.mark.sweep
def test_the_benchmark_of_authentication_revokes_keys_under_load():
    figures, _ = run("auth.py", "--quick")
    assert_figures(
        figures, "cpu_us_none", "cpu_us_key", "cpu_us_jwt", "revoke_ms", "revoke_max_ms", "revoke_refused_ms"
    )
    assert figures["revoke_max_ms"] >= figures["revoke_ms"] > 0
    assert (figures["keys"], figures["held_usd_micros"]) == (2, 0)


@pytest.mark.sweep
@pytest.mark.skipif(not (shutil.which("wrk") and shutil.which("nginx")), reason="needs wrk and nginx")
def test_the_overhead_benchmark_runs_and_finds_every_answer_in_the_ledger():
    figures, _ = run("overhead.py", "--quick", "--peers")
    assert_figures(
        figures,
        "cpu_ratio_nginx", "cpu_ratio_tensorzero", "cpu_ratio_litellm", "stream_cpu_ratio_nginx",
        "mib_per_1000_streams", "cpu_us_macroslow", "cpu_us_nginx", "cpu_us_tensorzero", "cpu_us_litellm",
    )  # fmt: skip
    assert figures["cpu_ratio_litellm"] is None, "it was not asked for, so nothing is said about it"
    assert figures["cpu_us_macroslow"] > 0
    assert figures["failed"] == 0
    assert figures["ledger_rows"] >= figures["answered"] > 0


@pytest.mark.sweep
@pytest.mark.skipif(not (shutil.which("wrk") and shutil.which("nginx")), reason="needs wrk and nginx")
def test_the_profile_names_stages_that_all_took_place():
    figures, _ = run("overhead.py", "--quick", "--profile")
    assert_figures(figures, "cpu_us", "cpu_us_timed")
    stages = figures["stages_us"]
    assert {"authenticate", "parse", "count tokens", "admission", "writer: seal the entry"} <= stages.keys()


@pytest.mark.sweep
@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
def test_the_mcp_benchmark_runs_and_one_call_is_one_upstream_request():
    figures, _ = run("mcp.py", "--quick", "--peers")
    assert_figures(
        figures,
        "cpu_ratio_sdk", "cpu_ratio_fastmcp", "proxied_cpu_ratio_litellm", "upstream_requests_per_call",
        "cpu_us_macroslow", "cpu_us_sdk", "proxied_cpu_us_macroslow_gateway",
    )  # fmt: skip
    assert figures["proxied_cpu_ratio_litellm"] is None, "it was not asked for, so nothing is said about it"
    assert figures["cpu_us_macroslow"] > 0
    assert figures["upstream_requests_per_call"] == 1
    assert figures["failed"] == 0


def test_without_wrk_every_figure_of_mcp_is_null(tmp_path):
    figures, people = run("mcp.py", "--quick", path=str(tmp_path))
    assert all(figures[name] is None for name in figures if "cpu" in name or "upstream" in name)
    assert {"cpu_ratio_sdk", "cpu_ratio_fastmcp", "proxied_cpu_ratio_litellm"} <= figures.keys()
    assert "apt-get install wrk" in people


@pytest.mark.sweep
def test_the_execute_benchmark_runs_and_its_receipt_verifies():
    figures, _ = run("execute.py", "--quick")
    assert_figures(figures, "p50_ms", "p99_ms", "cpu_ms", "sandbox_cold_p50_ms", "sandbox_cold_p95_ms")
    assert figures["requests"] == 50


@pytest.mark.sweep
def test_the_log_benchmark_runs_and_a_killed_writer_loses_nothing_that_it_promised():
    figures, _ = run("log.py", "--quick")
    assert_figures(
        figures,
        "entries_per_s", "p99_ms", "cpu_us_per_entry", "bytes_per_entry", "offered_1000_p99_ms", "restart_s",
        "prove_p50_ms", "verify_receipt_p50_ms", "verify_whole_us_per_entry",
    )  # fmt: skip
    assert figures["acknowledged"] >= figures["large"] >= 2_000
    assert figures["lost"] == 0


def test_without_wrk_and_nginx_every_figure_is_null_and_the_installation_is_told(tmp_path):
    figures, people = run("overhead.py", "--quick", path=str(tmp_path))
    assert all(figures[name] is None for name in figures if "cpu" in name or "mib" in name)
    assert {"cpu_ratio_nginx", "cpu_ratio_tensorzero", "cpu_ratio_litellm"} <= figures.keys()
    assert "apt-get install wrk" in people
    assert "apt-get install nginx-light" in people


def test_the_peers_are_listed_with_their_versions():
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "peers.py"), "list"], capture_output=True, text=True, check=True
    )
    assert "tensorzero==" in done.stdout
    assert "litellm[proxy]==" in done.stdout
    assert "fastmcp==" in done.stdout


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_a_figure_that_so_many_do_not_pass(figures, percent):
    found = harness.percentile(figures, percent)
    assert found in figures
    assert sum(figure <= found for figure in figures) * 100 >= percent * len(figures)
    assert sum(figure < found for figure in figures) * 100 < percent * len(figures)


def test_what_is_not_known_is_never_guessed():
    assert harness.ratio(None, 2.0) is None
    assert harness.ratio(1.0, None) is None
    assert harness.ratio(1.0, 0.0) is None
    assert harness.median([None]) is None
    assert harness.percentile([], 50) is None
    assert harness.median([None, 3.0]) == 3.0


def test_the_time_of_children_is_counted_with_their_parent_living_or_dead(tmp_path):
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    script = (
        "import subprocess, sys, time\n"
        f"subprocess.run([sys.executable, '-c', {burn!r}])\n"
        f"living = subprocess.Popen([sys.executable, '-c', {burn!r} + 'import time; time.sleep(60)'])\n"
        f"{burn}print('done', flush=True)\n"
        "time.sleep(60)\n"
    )
    with harness.spawned("burn", [sys.executable, "-c", script], harness.LOAD_CORE, tmp_path) as process:
        assert process.popen.stdout.readline() == "done\n"
        until_s = time.monotonic() + 60
        while process.cpu_s() < 0.85 and time.monotonic() < until_s:
            time.sleep(0.02)
        assert 0.85 <= process.cpu_s() < 2.0  # less only by what ticks of 10 ms leave out
        assert process.memory_mib() > 5
        (living,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(living), signal.SIGTERM)
    assert process.popen.poll() is not None
