"""A gradebook that several machines share: who makes or changes an assignment in it waits for whoever is at that."""

import contextlib

from enm5310.grading.gradebook import in_words
from enm5310.practice import Problem

KEY = 5310_22_1  # of PostgreSQL's advisory lock; any number that nothing else in the database uses


@contextlib.contextmanager
def alone(course):
    """Nobody else's `alone` goes on meanwhile.  A file of SQLite's needs none: a course's folder has its own lock."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    if make_url(course.db_url).get_backend_name() != "postgresql":
        yield
        return
    engine = create_engine(course.db_url)
    try:
        try:
            connection = engine.connect()
            connection.execute(text(f"select pg_advisory_lock({KEY})"))
        except SQLAlchemyError as why:
            shown = make_url(course.db_url).render_as_string(hide_password=True)
            raise Problem(f"the gradebook {shown} cannot be used: {in_words(why)}") from None
        try:
            yield
        finally:
            connection.invalidate()  # the lock ends with its connection
    finally:
        engine.dispose()
