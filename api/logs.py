"""What the service logs: events as lines of JSON on standard error."""

import sys

import structlog


def write_logs() -> None:
    """Send every event to standard error as one line of JSON; control characters come out escaped."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
