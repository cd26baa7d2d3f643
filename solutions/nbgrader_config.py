"""nbgrader's configuration: run every nbgrader command from the folder of this file.

    cd solutions
    nbgrader generate_assignment 01_pca --force   # enters the assignment in the gradebook; exercises/ stay as they are
    nbgrader autograde 01_pca                     # .grading/submitted/STUDENT/01_pca -> .grading/autograded, gradebook
    nbgrader generate_feedback 01_pca             # -> .grading/feedback
    nbgrader export                               # -> .grading/grades.csv

All that grading leaves behind lies in .grading/ beside this folder, which git ignores.
"""

import os
import sysconfig
from pathlib import Path

c = get_config()  # noqa: F821 - nbgrader provides it

course = Path(__file__).resolve().parent.parent
grading = course / ".grading"
grading.mkdir(exist_ok=True)  # nbgrader does not create the folder of its database

c.CourseDirectory.root = str(course)
c.CourseDirectory.course_id = "enm5310"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.submitted_directory = ".grading/submitted"
c.CourseDirectory.autograded_directory = ".grading/autograded"
c.CourseDirectory.feedback_directory = ".grading/feedback"
c.CourseDirectory.solution_directory = ".grading/solution"
c.CourseDirectory.db_url = os.environ.get("ENM5310_GRADEBOOK", f"sqlite:///{grading / 'gradebook.db'}")
c.ExportPlugin.to = str(grading / "grades.csv")
c.NbGrader.logfile = str(grading / "nbgrader.log")

c.ClearSolutions.code_stub = {"python": "# your code here\nraise NotImplementedError"}

# nbgrader calls `alembic` by its bare name when it makes the gradebook: find it also when the environment is not active
os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")
