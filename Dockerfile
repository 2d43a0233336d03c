# One image for every process of Defter; which one it is, the command says: `writer`, `publisher`, `projector`, `setup` …
FROM python:3.13.9-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /src

# The packages first, exactly as pinned: they change seldom, and this layer is kept.
COPY requirements.txt requirements-build.txt ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt -r requirements-build.txt

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY domain domain
COPY projections projections
COPY services services
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && rm -rf /src/*

RUN useradd --system --create-home defter
USER defter
WORKDIR /home/defter

ENTRYPOINT ["defter"]
CMD ["--help"]
