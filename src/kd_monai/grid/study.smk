# The jobs of a study for Snakemake. `make study` writes what they are into study.json, in the folder that Snakemake works in.
import json
import os
import re
import shutil

with open("study.json") as file:
    STUDY = json.load(file)
JOBS = STUDY["jobs"]
OPEN = [name for name, job in JOBS.items() if job["open"]]


def ids(role):
    """A pattern of the jobs of a role."""
    return "|".join(re.escape(name) for name, job in JOBS.items() if job["role"] == role) or "(?!)"


def teacher(wildcards):
    """The marker of the job that trains its teacher."""
    return [f"jobs/{name}.done" for name in [JOBS[wildcards.job]["teacher"]] if name]


# A job that a killed study has left running is waited for: its command then finds the finished run within seconds.
WAIT = "flock -n 9 || { echo 'An earlier launch of this job still runs: waiting for its end.'; flock 9; };"


localrules:
    all,


rule all:
    input:
        expand("jobs/{job}.done", job=OPEN),


rule teacher:
    output:
        "jobs/{job}.done",
    log:
        "jobs/{job}.log",
    wildcard_constraints:
        job=ids("teacher"),
    priority: 1  # students wait for it
    threads: STUDY["threads"]
    resources:
        **STUDY["resources"],
    params:
        lock="jobs/{job}.lock",
        note="jobs/{job}.run",
        wait=WAIT if shutil.which("flock") else "",
        folder=STUDY["folder"],
        command=lambda wildcards: JOBS[wildcards.job]["command"],
    shell:
        "rm -f {params.note:q}; ( {params.wait} cd {params.folder:q}; {params.command} ) >> {log:q} 2>&1 9>> {params.lock:q};"
        ' test -s {params.note:q} && basename "$(cat {params.note:q})" > {output:q}'


use rule teacher as baseline with:
    wildcard_constraints:
        job=ids("baseline"),
    priority: 0


use rule teacher as student with:
    input:
        teacher,
    wildcard_constraints:
        job=ids("student"),
    priority: 0
