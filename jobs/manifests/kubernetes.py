"""Objects for Kubernetes: a volume for the ledger, and for each job a CronJob that may do little."""

import json
from collections.abc import Iterable
from pathlib import PurePosixPath

from closeout.jobs.definitions.cron import PROMPT
from closeout.jobs.definitions.job import Job
from closeout.jobs.manifests.common import (
    CONFIG,
    DRAIN_SECONDS,
    KEY_VARIABLE,
    STATE,
    Timed,
    sweep_arguments,
    timed_jobs,
    values_or_star,
)
from closeout.worker.support.errors import ConfigurationError

_USER = 65532
_HEAD = """\
# Objects for Kubernetes (1.27 or later: time zones). `kubectl apply -f` takes them once these are there
# (the first read from a file or a vault, so that no shell remembers the key):
#   kubectl create secret generic closeout --from-literal=KEYS="…"
#   kubectl create secret generic closeout-config --from-file=closeout.toml
# The keys are in that secret alone: an api_key_file in that closeout.toml would go before them, and is not there.
# The ledger is SQLite: its volume must be a block device of one node, and no network file system.
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: closeout-ledger
  labels: {app.kubernetes.io/name: closeout}
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 5Gi
"""
_CRON_JOB = """\
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: closeout, app.kubernetes.io/component: {job}}}
spec:
  schedule: "{schedule}"
  timeZone: "{zone}"
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {deadline}
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 7
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata:
          labels: {{app.kubernetes.io/name: closeout, app.kubernetes.io/component: {job}}}
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: {drain}
          automountServiceAccountToken: false
          enableServiceLinks: false
          securityContext:
            runAsNonRoot: true
            runAsUser: {user}
            runAsGroup: {user}
            fsGroup: {user}
            fsGroupChangePolicy: OnRootMismatch
            seccompProfile: {{type: RuntimeDefault}}
          containers:
            - name: closeout
              image: {image}
              command: [closeout]
              args: {arguments}
              workingDir: {state}
              env:
                - name: {variable}
                  valueFrom:
                    secretKeyRef: {{name: closeout, key: {key}}}
              resources:
                requests: {{cpu: 250m, memory: 256Mi}}
                limits: {{memory: 512Mi}}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities: {{drop: [ALL]}}
              volumeMounts:
                - {{name: ledger, mountPath: {state}}}
                - {{name: config, mountPath: {folder}, readOnly: true}}
                - {{name: tmp, mountPath: /tmp}}
          volumes:
            - name: ledger
              persistentVolumeClaim: {{claimName: closeout-ledger}}
            - name: config
              secret: {{secretName: closeout-config, defaultMode: 288}}  # 0440
            - name: tmp
              emptyDir: {{sizeLimit: 64Mi}}
"""


def print_kubernetes(jobs: Iterable[Job], image: str) -> str:
    """The objects as YAML documents. Raises ConfigurationError for a schedule that Kubernetes takes for another one."""
    if not image or not image.isascii() or not image.isprintable() or " " in image:
        raise ConfigurationError(f"--image: invalid name of an image {image!r}")
    timed = timed_jobs(jobs)
    keys = '="…" --from-literal='.join(sorted({one.key for one in timed}))
    return _HEAD.replace("KEYS", keys) + "".join(_cron_job(one, image) for one in timed)


def _cron_job(timed: Timed, image: str) -> str:
    job = timed.job
    return _CRON_JOB.format(
        name=timed.name,
        job=json.dumps(job.name),  # YAML takes some words and figures for no text
        schedule=_schedule(timed),
        zone=job.timezone,
        deadline=round(max(job.catch_up, PROMPT / 1000)),
        drain=DRAIN_SECONDS,
        user=_USER,
        image=json.dumps(image),
        arguments=json.dumps(sweep_arguments(job)),
        state=STATE,
        variable=KEY_VARIABLE,
        key=timed.key,
        folder=PurePosixPath(CONFIG).parent,
    )


def _schedule(timed: Timed) -> str:
    """The expression in figures, since Kubernetes knows no 7 for Sunday.

    Given days and weekdays it takes either, which is what the expression says unless one of them begins with ``*``.
    """
    fields = timed.fields
    days, weekdays = values_or_star(fields.days, 31, "-"), values_or_star(fields.weekdays, 7, "-")
    if fields.both_days and "*" not in (days, weekdays):
        raise ConfigurationError(
            f"job {timed.job.name}: Kubernetes takes {timed.cron!r} for days or weekdays, not for both: name the days"
        )
    minutes, hours = values_or_star(fields.minutes, 60, "-"), values_or_star(fields.hours, 24, "-")
    return f"{minutes} {hours} {days} {values_or_star(fields.months, 12, '-')} {weekdays}"
