# A machine that grades.  In the clone:  docker build -t enm5310 .
#
# In the course folder (this clone, or any nbgrader course), the least permissive way first:
#
#   docker run --rm --network none --cap-drop ALL --security-opt no-new-privileges \
#       --user "$(id -u):$(id -g)" --volume "$PWD":/course enm5310 enm5310 grade 01_pca
#
# The container starts no command before `enm5310 doctor --grading` has proven a sandbox; without one it says why in
# one line and ends with exit code 2.  lectures/INSTRUCTORS.md ("In a container") says which sandbox needs which flags.

FROM python:3.13-slim-trixie AS build
RUN python3 -m venv /opt/enm5310
COPY . /source
RUN /opt/enm5310/bin/pip install --no-cache-dir --disable-pip-version-check '/source[grade]'

FROM python:3.13-slim-trixie
COPY --from=build /opt/enm5310 /opt/enm5310
ENV PATH=/opt/enm5310/bin:$PATH HOME=/tmp USER=grader PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /course
ENTRYPOINT ["sh", "-c", "enm5310 doctor --grading >/dev/null && exec \"$@\"", "sh"]
CMD ["enm5310", "doctor", "--grading"]
