# One image for all of Vigil's services; the command says which. TORCH=cpu takes the build of torch without CUDA.
FROM python:3.11-slim

ARG TORCH=cpu
ENV PYTHONUNBUFFERED=1 UV_NO_CACHE=1 UV_SYSTEM_PYTHON=1 UV_BREAK_SYSTEM_PACKAGES=1

WORKDIR /opt/vigil
COPY requirements.lock requirements-cpu.lock requirements-uv.lock ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-uv.lock \
    && if [ "$TORCH" = cpu ]; then \
        uv pip install --require-hashes -r requirements-cpu.lock \
        && uv pip install --no-deps --torch-backend cpu "$(awk '/^torch==/{print $1}' requirements.lock)"; \
    else \
        uv pip install --require-hashes -r requirements.lock; \
    fi

COPY pyproject.toml README.md LICENSE ./
COPY ecg ecg
COPY model model
COPY simulators simulators
COPY stream stream
RUN uv pip install --no-deps --no-build-isolation . \
    && useradd --system --uid 10001 --home-dir /var/lib/vigil --create-home vigil

USER vigil
WORKDIR /var/lib/vigil
ENV VIGIL_CACHE=/var/lib/vigil NUMBA_CACHE_DIR=/var/lib/vigil/numba
VOLUME /var/lib/vigil
CMD ["vigil", "--help"]
