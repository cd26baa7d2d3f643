"""What the tests of the grading engine share: notebooks to grade, a box, attacks."""
