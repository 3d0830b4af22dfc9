"""The protocol that docs/sequences.md shows, as a stranger uses it: one file outside the repository, by its path."""

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "sequences.md"


@pytest.fixture
def script(tmp_path):
    (source,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "half_way.py").write_text(source, encoding="utf-8")
    return "half_way.py"


def test_it_is_planned_explained_run_and_certified(nvscope, script, tmp_path):
    planned = nvscope("plan", script, "--set", "cold=60 K", runs=tmp_path)
    assert planned.code == 0, planned.output
    assert "temperature to 60 K at 8 K/min" in planned.output
    assert "how far to cool" in nvscope("run", script, "--help", runs=tmp_path).output
    refused = nvscope("plan", script, "--set", "field=300 G", runs=tmp_path)
    assert refused.code == 2
    assert "step 2 (field to 300 G" in " ".join(refused.output.split())
    small = ("--pixels", "16x16", "--set", "frequencies=21", "--set", "frames=2", "--set", "cold=60 K")
    done = nvscope("run", script, *small, runs=tmp_path)
    assert done.code == 0, done.output
    done.check_estimate()
    certificates = [entry["data"] for entry in done.journal("certificate")]
    assert [c["protocol"] for c in certificates] == ["normal", "normal", "zfc", "zfc"]
    assert {c["verdict"] for c in certificates} == {"valid"}
    assert "half-way" in done.directory.name
