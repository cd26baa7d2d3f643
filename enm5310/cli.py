"""The command ``enm5310``.  Exit codes: 0 ok, 1 something failed its check, 2 usage or environment.

Every error is one line that names the problem and the next step.  What a command does lies elsewhere (``practice``,
``start``, ``release``, ``doctor``) and is imported when it is called, so that the command itself starts at once.
"""

import difflib
import enum
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from enm5310 import __version__
from enm5310.practice import Problem

app = typer.Typer(
    invoke_without_command=True, pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,  # no boxes in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
data = typer.Typer(invoke_without_command=True, help="What data are packaged, cached or can be fetched.")
app.add_typer(data, name="data")


class Target(enum.StrEnum):
    """What `enm5310 export` can write."""

    csv = "csv"
    canvas = "canvas"
    gradescope = "gradescope"
    moodle = "moodle"


WHAT = "Notebooks, folders, or parts such as 1 or 01_pca; when left out, all exercises of the course folder."
FOLDER = "A folder of the course's source directory."
REPLAY = "Show what this student's code was given, what it answered, and the verdict."
SUBMITTED = "What students handed in.  [default: the course's submitted directory]"
ID = "An exercise, such as 1.2 or covariance."


@app.callback()
def course(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
):
    """Variational auto-encoders from scratch: lectures, exercises that explain what is wrong, and their checks."""
    if version:
        print(f"enm5310 {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        return
    raise typer.Exit(0)


@app.command()
def start(
    dir: Annotated[Path | None, typer.Option(help="Where to put the course.  [default: ./enm5310-course]")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="JupyterLab's port.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
):
    """Copy the course into a folder of yours (edited files are kept) and open it in JupyterLab."""
    from enm5310 import start

    folder = (dir or start.folder_here()).expanduser()
    port = start.free_port(port)
    print(f"The course is in {folder.resolve()}", *_copied(start.copy(folder)), sep="\n", flush=True)
    with start.ended_by_signals():
        lab = start.launch(folder, port, browser=not no_browser)
        try:
            start.wait(lab)
            print(f"JupyterLab is at {lab.url}\nStop it with Ctrl-C.", flush=True)
            lab.process.wait()
        except KeyboardInterrupt:
            print("\nStopping JupyterLab; your files stay where they are.", flush=True)
        finally:
            start.stop(lab)


def _copied(done):
    counts = {"new": done.new, "updated": done.updated, "kept as you edited them": done.kept}
    told = ", ".join(f"{len(names)} {words}" for words, names in counts.items() if names)
    yield f"Files: {told or 'all as they were'}"
    yield from (f"! {name} has a newer version: rename yours and start again to get it" for name in done.outdated)


@app.command()
def check(
    what: Annotated[list[str] | None, typer.Argument(metavar="PATH or PART", help=WHAT)] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the verdicts to this file, too.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="For each cell and each check.")] = 30,
    memory: Annotated[float, typer.Option(min=0.25, metavar="GIB", help="For a notebook, on Linux.")] = 4,
):
    """Run the checks of your notebooks in a separate process: what is right, what is not, and why."""
    _writable(json)
    from enm5310.practice import checking, runner

    code, problems = checking.check(what, runner.Limits(seconds=timeout, memory=int(memory * 2**30)), json)
    for problem in problems:
        _failed(problem)
    return code


@app.command()
def watch():
    """Check a notebook whenever you save it; keys show hints and the next exercise.  In a pipe: a line per change."""
    from enm5310.practice import watch

    return watch.watch()


@app.command()
def progress():
    """How far you are: the exercises as last checked, and a bar per part."""
    from enm5310.practice import checking

    _tell(checking.show_progress())


@app.command()
def hint(id: Annotated[str, typer.Argument(metavar="ID", help=ID)]):
    """The next hint for an exercise; each call goes one step further."""
    from enm5310.practice import checking

    _tell(checking.show_hint(_exercise(id)))


@app.command()
def solution(id: Annotated[str, typer.Argument(metavar="ID", help=ID)]):
    """The worked solution, once yours is right or after the last hint."""
    from enm5310.practice import checking

    _tell(checking.show_solution(_exercise(id)))


@app.command()
def release(what: Annotated[list[str] | None, typer.Argument(metavar="PART", help="All when left out.")] = None):
    """For authors: solutions/ to exercises/ through nbgrader, after every solution has earned full marks."""
    from enm5310 import release
    from enm5310.course import parts_here
    from enm5310.practice import places

    root = release.clone()
    parts = [places.part_called(word) for word in what or []] or parts_here()
    if None in parts:
        raise Problem(f"there is no part {what[parts.index(None)]}; there are {', '.join(parts_here())}")
    for part in parts:
        release.release(root, part, lambda words: print(words, flush=True))
    print(f"released to {root / 'exercises'}")


@app.command()
def grade(
    assignment: Annotated[str | None, typer.Argument(metavar="ASSIGNMENT", help=FOLDER, show_default=False)] = None,
    submitted: Annotated[Path | None, typer.Option(metavar="DIR or ZIP", help=SUBMITTED)] = None,
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="At a time.  [default: all cores]")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDR", help="Grade on a Dask cluster, tcp://...")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results to this file, too.")] = None,
    pattern: Annotated[str | None, typer.Option(metavar="RE", help=r"Of paths in DIR, with (?P<student>...).")] = None,
    student: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this one; may be repeated.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Grade also what has not changed since the last run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which scores would change.")] = False,
    because: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the history of scores.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Show who changed which score, when and why.")] = False,
    replay: Annotated[tuple[str, str] | None, typer.Option(metavar="STUDENT EXERCISE", help=REPLAY)] = None,
    unsafe: Annotated[bool, typer.Option("--unsafe", help="Run students' code here even without a sandbox.")] = False,
):
    """For instructors: grade a class in a sandbox, in any nbgrader course folder; scores go to nbgrader's gradebook."""
    _writable(json)
    from enm5310.grading import command

    if replay:
        return command.replay(*replay, assignment, unsafe)
    if assignment is None:
        raise Problem("Missing argument 'ASSIGNMENT': `enm5310 grade --help` says what there is")
    if history:
        return command.history(assignment, tuple(student or ()), json and json.absolute())
    asked = command.Asked(
        assignment, submitted, jobs, scheduler, json and json.absolute(), pattern, unsafe, tuple(student or ()), fresh,
        dry_run, because,
    )  # fmt: skip
    return command.grade(asked)


@app.command()
def feedback(
    assignment: Annotated[str, typer.Argument(metavar="ASSIGNMENT", help="One that `enm5310 grade` has graded.")],
    student: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this one; may be repeated.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what was done to this file, too.")] = None,
):
    """For instructors: one page per student with scores, what was tested, mistakes by name; for nbgrader to release."""
    _writable(json)
    from enm5310.reporting import feedback

    return feedback.feedback(feedback.Asked(assignment, tuple(student or ()), json and json.absolute()))


@app.command()
def report(
    assignment: Annotated[str, typer.Argument(metavar="ASSIGNMENT", help="One that `enm5310 grade` has graded.")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="The page.  [default: below .grading/]")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the numbers to this file, too.")] = None,
):
    """For instructors: one page on a graded class: frequent mistakes, scores, what to look at, what waits for you."""
    _writable(json)
    from enm5310.reporting import class_report

    return class_report.report(class_report.Asked(assignment, output and output.absolute(), json and json.absolute()))


@app.command()
def export(
    assignment: Annotated[str, typer.Argument(metavar="ASSIGNMENT", help="One that `enm5310 grade` has graded.")],
    to: Annotated[Target, typer.Option(help="The system that will import the file; csv is for spreadsheets.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: ASSIGNMENT-canvas.csv or so]")] = None,
):
    """For instructors: the gradebook's final scores as a file for Canvas, Gradescope, Moodle or a spreadsheet."""
    if out is not None:
        _writable(out, "--out")
    from enm5310.reporting import exports

    return exports.export(assignment, to.value, out)


@data.callback()
def data_list(context: typer.Context):
    """What is packaged, cached, and can be fetched."""
    if context.invoked_subcommand is None:
        list_data()


@data.command("list")
def list_data():
    """All data sets: packaged, cached or not, size, licence."""
    from enm5310 import datasets

    for e in datasets.available():
        print(f"{e.name:<14} {e.state:<11} {e.size / 1e6:>7.1f} MB  {e.licence}")
    print(f"cache: {datasets.get_data_home()}")


@data.command("fetch")
def fetch_data(name: Annotated[str, typer.Argument(help="One of those that `enm5310 data list` names.")]):
    """Download a data set into the cache, once; later calls need no network."""
    from enm5310 import datasets

    try:
        datasets.fetch(name)
    except ValueError as why:
        raise Problem(str(why)) from None
    except OSError as why:
        raise Problem(" ".join(str(why).split())) from None
    where = next(e for e in datasets.available() if e.name == name.replace("-", "_"))
    print(f"{where.name}: {where.state} in {where.where}")


@app.command()
def doctor(
    grading: Annotated[bool, typer.Option("--grading", help="What `enm5310 grade` needs; exit code 2 without a sandbox "
                                          "that holds.")] = False,
):  # fmt: skip
    """What the course needs and what is found, one line each, with the fix."""
    from enm5310 import doctor

    found = []
    for f in doctor.for_grading() if grading else doctor.findings():
        found.append(f)
        print(f"{'!' if f.fix else ' '} {f.what:<16} {f.found}" + (f"; {f.fix}" if f.fix else ""), flush=True)
    if grading and not doctor.can_work(found):
        faults = "; ".join(f"{f.what}: {f.found}, {f.fix}" for f in found if f.needed and f.fix)
        raise Problem(f"this machine cannot grade ({faults})")
    if not doctor.can_work(found):
        raise Problem("the course cannot be worked like this: mend the lines that start with !")
    print("All is well: " + ("`enm5310 grade` can run." if grading else "`enm5310 start` opens the course."))


# -------------------- around the commands --------------------


def _exercise(id):
    """The exercise of this id or name; Problem names near ones."""
    from enm5310.practice import plan

    known = {word: e for part in plan.parts() for e in plan.exercises(part) for word in (e.id, e.name)}
    if id not in known:
        near = difflib.get_close_matches(id, known, n=3, cutoff=0.5)
        raise Problem(f"there is no exercise {id}" + (f"; did you mean {' or '.join(near)}?" if near else
                                                      ": `enm5310 progress` lists them"))  # fmt: skip
    return known[id]


def _writable(path, option="--json"):
    """Finds out before the work whether the results can be written, and guards notebooks against a slip."""
    if path is None:
        return
    if path.suffix == ".ipynb":
        example = "verdicts.json" if option == "--json" else "scores.csv"
        raise Problem(f"{option} {path} would overwrite a notebook: name another file, such as {example}")
    if path.is_dir() or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise Problem(f"{option} {path} cannot be written there: name a file in a folder that exists")


def _tell(notes):
    for note in notes:
        print(f"! {note}", file=sys.stderr, flush=True)


UsageError = typer.BadParameter.__base__  # click's, wherever this version of Typer keeps it


def main():
    """Entry point: runs the command and turns every error into one line and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = app(prog_name="enm5310", standalone_mode=False) or 0
    except Problem as why:
        code = _failed(str(why))
    except UsageError as why:
        code = _failed(f"{' '.join(why.format_message().split()).rstrip('.')} (`enm5310 --help` lists what there is)")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except OSError as why:  # a full disk, a folder that vanished: none of it is worth a traceback
        code = _failed(f"{why.filename or 'the system'}: {why.strerror or why}")
    sys.exit(code)


def _failed(words):
    print(f"enm5310: {words}", file=sys.stderr)
    return 2
