"""After grading: pages for students and for the instructor, and files for learning platforms."""
