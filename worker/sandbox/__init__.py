"""A stand-in for the conversation API: a real HTTP server with sessions, evaluations, a rate limit and faults.

It shares no code with the rest of the project, so that a mistake there shows here.
"""

from closeout.worker.sandbox.config import ALL_SCOPES, SandboxConfig
from closeout.worker.sandbox.facets import PRIVATE_MARKER
from closeout.worker.sandbox.faults import FAULT_NAMES
from closeout.worker.sandbox.production import Production, parse_production
from closeout.worker.sandbox.run import describe, running_sandbox, serve
from closeout.worker.sandbox.sandbox import Sandbox
from closeout.worker.sandbox.truth import Truth

__all__ = [
    "ALL_SCOPES",
    "FAULT_NAMES",
    "PRIVATE_MARKER",
    "Production",
    "Sandbox",
    "SandboxConfig",
    "Truth",
    "describe",
    "parse_production",
    "running_sandbox",
    "serve",
]
