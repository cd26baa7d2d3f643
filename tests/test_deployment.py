"""The Dockerfile and the workflows: what they name exists, they run what the README says, nothing is privileged."""

import fnmatch
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from enm5310 import cli, doctor
from enm5310.grading import sandbox
from enm5310.practice import Problem
from tests.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NOT_ROOT = 65532  # the user of the image


# -------------------- doctor --grading: what the container asks before anything else --------------------


def grading(monkeypatch, level, platform="linux"):
    """What `enm5310 doctor --grading` makes of a machine: (exit code or the Problem's text, what it printed)."""

    def choose():
        if isinstance(level, str):
            raise Problem(level)
        return level

    monkeypatch.setattr(sandbox, "choose", choose)
    monkeypatch.setattr(doctor.sys, "platform", platform)
    run = CliRunner().invoke(cli.app, ["doctor", "--grading"])
    return str(run.exception) if isinstance(run.exception, Problem) else run.exit_code, run.stdout


def test_a_machine_with_a_sandbox_can_grade(monkeypatch):
    monkeypatch.setattr(sandbox, "bwrap", lambda: None)
    for name in ("bubblewrap", "landlock"):  # the second is good enough, even where a better one could be installed
        code, said = grading(monkeypatch, sandbox.Level(name, ("fork: refused (x)",)))
        assert code == 0 and f"{name}, 1 ways out tried and found shut: fork" in said
        assert said.endswith("All is well: `enm5310 grade` can run.\n") and "jupyterlab" not in said


def test_a_machine_without_a_sandbox_cannot_grade_and_says_why_in_one_line(monkeypatch):
    why, said = grading(monkeypatch, "no sandbox holds here (bubblewrap: x; landlock: y)")
    assert why == "this machine cannot grade (sandbox: none, no sandbox holds here (bubblewrap: x; landlock: y))"
    assert "All is well" not in said
    why, _ = grading(monkeypatch, sandbox.Level("bubblewrap"), platform="darwin")
    assert why.startswith("this machine cannot grade (sandbox: there on Linux only") and why.endswith("grade on Linux)")


def test_without_nbgrader_a_machine_cannot_grade(monkeypatch):
    missing = doctor.package("no-such-package", "enm5310[grade]")
    monkeypatch.setattr(doctor, "package", lambda name, source: missing._replace(what=name))
    why, _ = grading(monkeypatch, sandbox.Level("bubblewrap"))
    assert "nbgrader: not found, pip install 'enm5310[grade]'" in why


def test_the_command_ends_with_exit_code_2(tmp_path):
    """The whole command, on a machine made to have no sandbox."""
    code = ("import sys; from enm5310 import cli; from enm5310.grading import sandbox; "
            "sandbox.tried = lambda name: 'not today'; sys.argv[1:] = ['doctor', '--grading']; cli.main()")  # fmt: skip
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert run.stderr.startswith("enm5310: this machine cannot grade (sandbox: none") and "not today" in run.stderr


# -------------------- the image --------------------


@functools.cache
def instructions():
    """[(name, arguments)] of the Dockerfile."""
    text = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.M))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def arguments(name):
    return [words for instruction, words in instructions() if instruction == name]


def sent(path):
    """Whether .dockerignore lets a path into the build: the last pattern decides that matches it or a folder above."""
    allowed = True
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for pattern in (line for line in lines if line and not line.startswith("#")):
        above = ["/".join(Path(path).parts[: i + 1]) for i in range(len(Path(path).parts))]
        bare = pattern.removeprefix("!")
        if bare.startswith("**/"):
            hit = any(fnmatch.fnmatch(part, bare[3:]) for part in Path(path).parts)
        else:
            hit = any(fnmatch.fnmatch(folder, bare) for folder in above)
        if hit:
            allowed = pattern.startswith("!")
    return allowed


def test_the_image_is_built_from_a_pinned_base_and_from_the_clone_alone():
    bases = [words.split()[0] for words in arguments("FROM")]
    assert len(set(bases)) == 1 and re.fullmatch(r"python:3\.\d+-slim-\w+", bases[0])
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=3.")
    assert int(bases[0].split(".")[1].partition("-")[0]) >= int(oldest)
    assert not arguments("ADD") and not re.search(r"https?://|curl|wget", str(instructions()))
    assert len(instructions()) == len([i for i in instructions() if i[0].isupper()])


def test_what_is_copied_exists_and_what_is_installed_is_the_extra_for_grading():
    here, there = arguments("COPY")
    assert here == ". /source" and there.startswith("--from=build ")
    assert f" AS {there.split()[0].removeprefix('--from=')}" in arguments("FROM")[0]
    install = next(words for words in arguments("RUN") if "install" in words)
    assert shlex.split(install)[-1] == "/source[grade]" and "grade" in PROJECT["project"]["optional-dependencies"]
    copied, installed = there.split()[1:], shlex.split(install)[0]
    assert copied == ["/opt/enm5310"] * 2 and installed.startswith("/opt/enm5310/bin/")  # a venv cannot be moved
    path = next(words for words in arguments("ENV") if "PATH=" in words)
    assert path.startswith("PATH=/opt/enm5310/bin:")


def test_the_build_gets_all_that_the_package_is_made_of():
    project, wheel = PROJECT["project"], PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = ["pyproject.toml", project["readme"], *project["license-files"]]
    for path in [*needed, *wheel["packages"], *wheel["force-include"]]:
        assert (ROOT / path).exists() and sent(path), path
    for path in ("enm5310/grading/inside/zygote.py", "solutions/01_pca/01_pca.ipynb", "solutions/nbgrader_config.py"):
        assert (ROOT / path).exists() and sent(path), path


def test_no_submission_score_or_secret_gets_into_an_image():
    for path in (".grading/secret", ".grading/gradebook.db", "solutions/.grading/secret", "submissions.zip",
                 ".git/HEAD", ".venv/bin/python", "solutions/.ipynb_checkpoints/a.ipynb", "mail/ada.ipynb",
                 "enm5310-course/a.ipynb", "enm5310/__pycache__/pca.cpython-311.pyc", "tests/conftest.py"):  # fmt: skip
        assert not sent(path), path


def test_the_container_runs_as_an_ordinary_user_with_a_home_it_can_write_to():
    assert arguments("USER") == [f"{NOT_ROOT}:{NOT_ROOT}"]
    names = [name for name, _ in instructions()]
    assert names.index("USER") > names.index("ENV") and names.count("FROM") == 2
    assert "USER" in names[len(names) - 1 - names[::-1].index("FROM") :], "the last stage sets it"
    assert "HOME=/tmp" in arguments("ENV")[0]


def entry(*command, path, **how):
    """Runs the image's entry point on this machine, with programs found in a folder."""
    (line,) = arguments("ENTRYPOINT")
    env = {"PATH": f"{path}:/usr/bin:/bin", "HOME": "/tmp", "USER": "grader"}
    return subprocess.run([*json.loads(line), *command], env=env, capture_output=True, text=True, cwd="/", **how)


@pytest.mark.skipif(sys.platform != "linux", reason="the image is Linux")
@pytest.mark.parametrize("code", [0, 2])
def test_the_entry_point_runs_the_command_only_after_the_proof(tmp_path, code):
    tmp_path.chmod(0o755)
    fake = tmp_path / "enm5310"
    fake.write_text(f'#!/bin/sh\necho "$@ as $(id -u)"\n[ "$1" != doctor ] || exit {code}\n')
    fake.chmod(0o755)
    for folder in [tmp_path, *tmp_path.parents][:3]:  # another user must get there
        folder.chmod(folder.stat().st_mode | 0o055)
    user = {"user": NOT_ROOT, "group": NOT_ROOT, "extra_groups": []} if os.geteuid() == 0 else {}
    run = entry("enm5310", "grade", "01_pca", "--because", "two words; $HOME", path=tmp_path, **user)
    asked = f"grade 01_pca --because two words; $HOME as {NOT_ROOT if user else os.getuid()}\n"
    assert (run.returncode, run.stdout) == ((0, asked) if code == 0 else (2, ""))
    (default,) = arguments("CMD")
    assert json.loads(default)[:2] == ["enm5310", "doctor"]


def test_the_entry_point_proves_the_sandbox_of_this_machine(level):
    run = entry("printf", "%s", level.name, path=Path(sys.executable).parent)
    assert (run.returncode, run.stdout, run.stderr) == (0, level.name, "")


# -------------------- what a person types --------------------

GUIDE = ROOT / "lectures" / "INSTRUCTORS.md"


def docker_runs(path):
    """Each `docker run ...` of a file as words, comment signs and continued lines taken away."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#", " ", path.read_text(encoding="utf-8"), flags=re.M))
    return [shlex.split(line) for line in re.findall(r"^ +(docker run [^\n]*)", text, re.M)]


def test_no_container_is_asked_to_be_privileged():
    for path in (ROOT / "Dockerfile", GUIDE, ROOT / "README.md", ROOT / "SECURITY.md", *WORKFLOWS):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^ .*--privileged|SYS_ADMIN|docker\.sock", text, re.M), path
    first, *others = docker_runs(GUIDE)
    assert docker_runs(ROOT / "Dockerfile") == [first]
    assert {"--network", "none", "--cap-drop", "ALL", "no-new-privileges", "--user"} <= set(first)
    assert not [word for word in first if "unconfined" in word], "the first way keeps the container's own walls"
    for words in others:
        assert {"--network", "--cap-drop", "no-new-privileges", "--user"} <= set(words)
    for words in (first, *others):
        command = words[words.index("enm5310") + 1 :]
        if command:
            name, *rest = command[1:]
            typer.main.get_command(cli.app).commands[name].make_context(name, rest).close()


# -------------------- workflows --------------------


def workflow(path):
    """A workflow as data; YAML 1.1 reads the key `on` as true."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in found.items()}


def steps(path):
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def readme_command(ending):
    """The README's line that ends so."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^ +(python3 -m venv .*{ending})$", text, re.M)
    return line


def test_there_are_two_workflows_with_the_least_permissions():
    assert [path.name for path in WORKFLOWS] == ["site.yml", "tests.yml"]
    for path in WORKFLOWS:
        plan = workflow(path)
        assert set(plan) >= {"name", "on", "permissions", "jobs"} and plan["permissions"] == {"contents": "read"}
        for name, job in plan["jobs"].items():
            more = {"pages": "write", "id-token": "write"} if name == "deploy" else None
            assert job.get("permissions") == more and job["timeout-minutes"] <= 180
            assert "container" not in job and "services" not in job
        assert "pull_request_target" not in plan["on"] and "secrets." not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_step_runs_something_and_actions_are_of_a_major_version(path):
    for step in steps(path):
        assert ("run" in step) != ("uses" in step) and set(step) <= {"name", "id", "uses", "with", "run", "env", "if"}
        assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
        assert "${{" not in step.get("run", ""), "text of others must not become a command"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_file_extra_and_command_of_a_workflow_exists(path):
    root = typer.main.get_command(cli.app)
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    for line in (line for step in steps(path) for line in step.get("run", "").splitlines()):
        words = shlex.split(line)
        for word in words:
            if re.fullmatch(r"\.?(tests|lectures|solutions|exercises|ci)/[\w./-]*", word):
                assert (ROOT / word).exists(), word
        for extra in re.findall(r"\.\[([\w,-]+)\]", line):
            assert set(extra.split(",")) <= set(extras), extra
        assert set(re.findall(r"--group (\w+)", line)) <= set(groups)
        if words[0] == "enm5310":
            name, *rest = words[1:]
            root.commands[name].make_context(name, rest).close()


def test_the_tests_workflow_runs_the_readmes_command_on_every_python_and_ci_run():
    jobs = workflow(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    assert jobs["fast"]["steps"][-1]["run"].strip() == readme_command("pytest")
    classified = [c.split(" :: ")[-1] for c in PROJECT["project"]["classifiers"] if "Python :: 3." in c]
    assert jobs["fast"]["strategy"]["matrix"]["python"] == classified
    assert jobs["everything"]["steps"][-1]["run"] == ".ci/run" and os.access(ROOT / ".ci" / "run", os.X_OK)
    assert jobs["student"]["strategy"]["matrix"]["system"] == ["macos-latest", "windows-latest"]
    for name in ("fast", "everything"):  # both need what a student's system need not have
        assert jobs[name]["runs-on"] == "ubuntu-24.04"
        assert any("apparmor_restrict_unprivileged_userns=0" in step.get("run", "") for step in jobs[name]["steps"])


def test_the_site_workflow_publishes_what_the_documented_command_builds():
    jobs = workflow(ROOT / ".github" / "workflows" / "site.yml")["jobs"]
    build, upload = jobs["build"]["steps"][-2:]
    program, out, option = build["run"].removeprefix("python ").split()
    documented = (ROOT / program).read_text(encoding="utf-8").partition('"""\n\n')[0]
    assert option == "--lite" and f"python {program} OUT {option}" in documented
    assert upload["uses"].startswith("actions/upload-pages-artifact@") and upload["with"]["path"] == out
    assert jobs["deploy"]["needs"] == "build" and len(jobs["deploy"]["steps"]) == 1
    assert jobs["deploy"]["steps"][0]["uses"].startswith("actions/deploy-pages@")
    assert set(workflow(ROOT / ".github" / "workflows" / "site.yml")["on"]) == {"push", "workflow_dispatch"}


def test_a_students_part_needs_no_sandbox():
    """The test files that run on macOS and Windows ask for none."""
    jobs = workflow(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    files = [word for step in jobs["student"]["steps"] for word in step.get("run", "").split() if word.endswith(".py")]
    assert len(files) >= 6
    for path in files:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not re.search(r"enm5310\.grading|tests\.grading|\blevel\b\)|import (resource|fcntl)|killpg", text), path
