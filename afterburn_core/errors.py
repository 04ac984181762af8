"""The one exception tree. Every message says what was wrong, where, and what to do.

Expected scientific absence (no data, an undefined statistic) is a value with a reason, never an exception.
"""

from __future__ import annotations


class AfterburnError(Exception):
    """Root of everything Afterburn raises on purpose; the CLI prints it as one line and exits with 2."""


class ConfigError(AfterburnError):
    """A flag, a configuration file or an option is unknown, missing or of the wrong type."""


class ProbeError(ConfigError):
    """A file of prompts is not what it should be; `problems` lists every fault as `file:line: what; what to do`."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class PluginError(AfterburnError):
    """A plugin is unknown, cannot be loaded, or breaks a rule of the plugin system."""


class SubjectError(AfterburnError):
    """A model under test cannot be opened, read or compared."""


class NeedUnavailable(AfterburnError):
    """No backend of the subject offers the capability that an analyzer asks for."""


class SchemaError(AfterburnError):
    """A document is not a valid result; `problems` lists every fault with its path (`$.findings[3].rule`)."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class UnsupportedSchemaError(SchemaError):
    """A document was written under a newer major version of the schema than this release can read."""


class VerificationError(AfterburnError):
    """A certificate does not verify; the CLI exits with 4."""
