"""An nbgrader course folder: its configuration, its directories, its gradebook's address, its secret."""

import contextlib
import logging
import os
import secrets
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

from enm5310.practice import Problem

CONFIG = "nbgrader_config"
OURS = ".grading"  # the folder, below the course's root, that holds what nbgrader has no place for


class Course(NamedTuple):
    folder: Path  # where nbgrader is run: relative paths in the configuration start here
    config: Any  # traitlets' Config, as nbgrader would load it in that folder
    directory: Any  # nbgrader's CourseDirectory

    @property
    def root(self):
        return Path(self.directory.root)

    def path(self, step, student, assignment):
        """Where nbgrader keeps a student's assignment at a step such as "submitted"."""
        return Path(self.directory.format_path(getattr(self.directory, f"{step}_directory"), student, assignment))

    @property
    def db_url(self):
        return self.directory.db_url

    @property
    def id(self):
        """The course in the gradebook; nbgrader enters none for a course without an id, which PostgreSQL minds."""
        return self.directory.course_id or "default_course"

    @property
    def ours(self):
        """The folder for records and the secret; made, and hidden from git, on first use."""
        folder = self.root / OURS
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("x") as file:
            file.write("*\n")
        return folder

    def secret(self):
        """32 random bytes that the students' seeds are made from; drawn once, readable by the owner alone."""
        path = self.ours / "secret"
        for left in self.ours.glob("secret.*.part"):  # of a run that was killed
            left.unlink()
        if not path.exists():
            fresh = path.with_name(f"secret.{secrets.token_hex(4)}.part")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            with contextlib.suppress(FileExistsError):  # of two processes that are the first, one wins
                os.link(fresh, path)
            fresh.unlink()
        found = path.read_bytes()
        if len(found) != 32:
            raise Problem(f"{path} is damaged: put back its copy, or delete it and grade everything again")
        return found


def find(start=None):
    """The Course of a folder: its own, that of a clone of this course, or the nearest one above; Problem if none."""
    start = Path(start or Path.cwd()).resolve()
    folder = next((f for f in (start, start / "solutions", *start.parents) if _configured(f)), None)
    if folder is None and (start / "source").is_dir():
        folder = start  # nbgrader needs no configuration when all has its default name
    prepare()
    shared = _load([Path(f) for f in _shared_places()])
    if folder is None and "root" in shared.CourseDirectory and Path(shared.CourseDirectory.root).is_dir():
        folder = Path(shared.CourseDirectory.root)
    if folder is None:
        raise Problem("there is no nbgrader course here: change to the folder with nbgrader_config.py or source/, "
                      "or make one with `nbgrader quickstart NAME`")  # fmt: skip
    return _course(folder, shared)


def _course(folder, config):
    from nbgrader.coursedir import CourseDirectory

    with within(folder):
        config.merge(_load([folder]))
        directory = CourseDirectory(config=config)
        root = Path(directory.root)
        if root.resolve() != folder and _configured(root):
            config.merge(_load([root]))
            directory = CourseDirectory(config=config)
        directory.root = str(root.resolve())
        directory.db_url = _absolute(directory.db_url, folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # where nbgrader looks for a course's plug-ins; last, so that it shadows nothing
    return Course(folder, config, directory)


def _absolute(db_url, folder):
    """A gradebook's address that means the same wherever this process runs: SQLite's file by its whole path."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(db_url)
        url.get_dialect().import_dbapi()
    except ImportError as why:
        raise Problem(f"the gradebook's database needs a driver ({why}): for PostgreSQL, pip install "
                      "'enm5310[postgres]' and let db_url begin with postgresql+psycopg://") from None  # fmt: skip
    except ArgumentError as why:  # no address, or a database that SQLAlchemy does not know
        raise Problem(f"CourseDirectory.db_url is no address of a database: {' '.join(str(why).split())}") from None
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(folder / url.database))
    return url.render_as_string(hide_password=False)


def _configured(folder):
    return any((folder / f"{CONFIG}{suffix}").is_file() for suffix in (".py", ".json"))


def _shared_places():
    """Jupyter's folders of configuration, the system's first, so that the user's wins."""
    from jupyter_core.paths import jupyter_config_path

    return reversed(jupyter_config_path())


def _load(folders):
    """The configuration files of these folders, the later ones winning; Problem when one of them does not load."""
    from traitlets.config import Config
    from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

    config = Config()
    for folder in folders:
        for suffix, loader in ((".json", JSONFileConfigLoader), (".py", PyFileConfigLoader)):
            if (folder / f"{CONFIG}{suffix}").is_file():
                try:
                    config.merge(loader(f"{CONFIG}{suffix}", path=str(folder)).load_config())
                except Exception as why:
                    raise Problem(f"{folder / CONFIG}{suffix} does not load: {type(why).__name__}: "
                                  f"{' '.join(str(why).split())}") from None  # fmt: skip
    return config


# -------------------- nbgrader as a guest in this process --------------------


def prepare():
    """nbgrader is there, finds `alembic` (which it calls by bare name) and logs nothing on the terminal."""
    try:
        with _without("rfc3987_syntax"):
            import nbgrader  # noqa: F401
    except ImportError:
        raise Problem("grading needs nbgrader: pip install 'enm5310[grade]'") from None
    scripts = sysconfig.get_path("scripts")
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + os.environ.get("PATH", "")
    for name in ("traitlets", "tornado.application"):
        log = logging.getLogger(name)
        log.propagate = False
        if not log.handlers:
            log.addHandler(logging.NullHandler())


@contextlib.contextmanager
def _without(module):
    """As if a module were not installed: jsonschema would spend a second on a grammar that nothing here uses."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None
    try:
        yield
    finally:
        del sys.modules[module]


@contextlib.contextmanager
def within(folder):
    """Relative paths start at this folder for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
