# One image for every process: `docker run … rapport <service>`.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/rapport
COPY requirements.lock requirements.image.lock ./
# What builds the package comes from the lock as well, and stays behind in this stage.
RUN sed -n '/^setuptools==/,/# via/p' requirements.lock > setuptools.txt \
    && pip install --require-hashes -r setuptools.txt \
    && /opt/rapport/bin/pip install --require-hashes -r requirements.image.lock
COPY pyproject.toml README.md ./
COPY rapport rapport
COPY services services
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && /opt/rapport/bin/pip install --no-deps wheels/*.whl \
    && /opt/rapport/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
# By number, so that Kubernetes can see that it is not root.
ARG UID=10001
COPY --from=build /opt/rapport /opt/rapport
# A named volume takes over the owner of the folder it is mounted on.
RUN install -d -o ${UID} -g ${UID} -m 0750 /data
# The root file system may be read-only: nothing is compiled or written outside /data.
ENV PATH=/opt/rapport/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 RAPPORT_DATA=/data
USER 10001:10001
WORKDIR /data
EXPOSE 8000 8001 8002 8003 8004 8010 8011
ENTRYPOINT ["rapport"]
CMD ["--help"]
