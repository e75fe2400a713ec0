# The environment of the pipeline. The checkout is mounted, so results are files of the user who runs the container:
#   docker build --tag omokage .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:$PWD" --workdir "$PWD" omokage dvc repro
# It has PyTorch for CPUs. For NVIDIA GPUs, build with `--build-arg TORCH_INDEX=` and run with `--gpus all`.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git make openssh-client python3 python3-venv \
    && rm --recursive /var/lib/apt/lists/*

# Only what the packages depend on, so that a change of code does not install them again.
WORKDIR /opt/omokage
COPY requirements.lock pyproject.toml README.md ./
COPY workflow/install.py workflow/container ./workflow/
COPY src/omokage/__init__.py ./src/omokage/
COPY .dvc/config ./.dvc/
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN git init --quiet \
    && OMOKAGE_TORCH_INDEX="${TORCH_INDEX}" UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 python3 workflow/install.py

# HOME and USER make any user id work, also one that the image does not list.
ENV HOME=/tmp USER=omokage PATH=/opt/omokage/.venv/bin:${PATH} OMOKAGE_PYTHON=/opt/omokage/.venv/bin/python
ENTRYPOINT ["/opt/omokage/workflow/container"]
CMD ["dvc", "repro"]
