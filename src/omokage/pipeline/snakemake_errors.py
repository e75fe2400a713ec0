"""Collect the causes of Snakemake's errors, which its log names among much else, or not at all if it is quiet."""

import logging
import re

MAX_LINES = 3  # of each cause
# Said of every failed job, next to the record of the job itself.
SUMMARY = re.compile(r"(Exiting because a job execution failed|At least one job did not complete|Exception in run_job)")
# How a job on this machine ended. Its exit code adds nothing to what it has printed, unless a signal ended it.
EXIT = re.compile(r"Command '.*' (?:died with <Signals\.(\w+): \d+>|returned non-zero exit status \d+)\.", re.DOTALL)
# What Snakemake writes around a message.
FRAME = re.compile(r"\s*(Error:|Wildcards:|Traceback:|Traceback \(.*|File \".*|\(rule .*\))")
# What an executor adds to a message: the whole command that failed, and where logs may be.
ADDITION = re.compile(r"\s*(sbatch call:|For further error details see).*", re.DOTALL)
KILLED = {"SIGKILL": "the system does this when memory runs out", "SIGBUS": "the disk may be full"}


class ErrorCollector(logging.Handler):
    """A log handler that collects the causes of Snakemake's errors, each once, in `causes`."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.causes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Add the cause that the record names, if any."""
        # Of a failed job, only the executor's message counts, for example what sbatch has answered.
        is_job = str(getattr(record, "event", "")) in ("job_error", "group_error")
        self.add(str(getattr(record, "rule_msg", None) or "") if is_job else record.getMessage())

    def add(self, text: str) -> None:
        """Add the cause in an error message, if any."""
        cause = extract_cause(text)
        if cause and cause not in self.causes:
            self.causes.append(cause)


def extract_cause(text: str) -> str:
    """Return the lines of an error message of Snakemake that name the cause; "" if it was printed before."""
    # The Snakefile prints its own refusals.
    if SUMMARY.search(text) or "omokage: " in text:
        return ""
    if ended := EXIT.search(text):
        signal = ended[1]
        return f"a job was killed by {signal} ({KILLED.get(signal, 'not by itself')})" if signal else ""
    lines = [line for line in ADDITION.sub("", text).splitlines() if line.strip()]
    if lines and lines[0].startswith("Traceback "):
        lines = lines[-1:]
    return "\n".join([line.strip() for line in lines if not FRAME.fullmatch(line)][:MAX_LINES])
