# One image for every process: `docker run … rapport <service>`.
# Python's image, its tag here and nowhere else; another registry's with `--build-arg BASE=…`.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
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

FROM ${BASE}
# The revision comes from `make image`, which knows it.
LABEL org.opencontainers.image.title="Rapport" \
      org.opencontainers.image.description="Keeps an agency's clients in touch with the people who follow them" \
      org.opencontainers.image.version="0.1.0"
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
# Alive, by the service's own /healthz. Kubernetes has probes of its own instead.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "rapport.healthy"]
ENTRYPOINT ["rapport"]
CMD ["--help"]
