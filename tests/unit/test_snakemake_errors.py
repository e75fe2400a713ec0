"""The cause in an error message of Snakemake: the lines that name it, and nothing that was printed before."""

import logging

import pytest

from omokage.pipeline.snakemake_errors import MAX_LINES, ErrorCollector, extract_cause

COMMAND = "CalledProcessError in file \"stages.smk\":\nCommand 'set -euo pipefail;  exec python -m runner train'"
MESSAGES = {
    "a job that failed has printed why": (f"RuleException:\n{COMMAND} returned non-zero exit status 1.", ""),
    "a killed job has printed nothing": (
        f"RuleException:\n{COMMAND} died with <Signals.SIGKILL: 9>.",
        "a job was killed by SIGKILL (the system does this when memory runs out)",
    ),
    "the Snakefile prints its refusals": ('WorkflowError in file "common.smk":\nomokage: lr = x\n  File "a"', ""),
    "a summary": ("WorkflowError:\nAt least one job did not complete successfully.", ""),
    "a traceback": (
        'Traceback (most recent call last):\n\n  File "a.py", line 1, in f\n    g()\n\nOSError: [Errno 28] disk full\n',
        "OSError: [Errno 28] disk full",
    ),
    "a value of a profile": (
        "InputFunctionException in rule params:\nError:\n  ResourceConversionError: Resource 'mem_mb'\nWildcards:\n\n"
        "Traceback:\n (rule params, line 42, stages.smk)",
        "InputFunctionException in rule params:\nResourceConversionError: Resource 'mem_mb'",
    ),
    "an answer of sbatch": (
        "SLURM sbatch failed. The error message was 'invalid partition'.\nsbatch call:\nsbatch --wrap='a\nb\nc'\n",
        "SLURM sbatch failed. The error message was 'invalid partition'.",
    ),
    "a failed job of an executor": (
        "SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'. For further error details see the cluster/cloud log.",
        "SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'.",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_only_the_lines_that_name_the_cause_remain(name: str) -> None:
    message, cause = MESSAGES[name]
    assert extract_cause(message) == cause


def test_a_long_message_is_cut() -> None:
    assert len(extract_cause("\n".join(f"line {number}" for number in range(50))).splitlines()) == MAX_LINES


def test_each_cause_is_collected_once_and_of_a_job_only_what_its_executor_says() -> None:
    collector, logger = ErrorCollector(), logging.getLogger("snakemake.tests")
    logger.addHandler(collector)
    for _ in range(2):
        logger.error("the same")
    logger.warning("no error")
    logger.error("Error in rule train, jobid: 1", extra={"event": "job_error", "rule_msg": None})
    logger.error("Error in rule train, jobid: 2", extra={"event": "job_error", "rule_msg": "sbatch failed"})
    assert collector.causes == ["the same", "sbatch failed"]
