"""The keys under which wards find what they read in Redis; those of one ward share a hash tag."""

from __future__ import annotations

from typing import Literal

from ecg.alarm import UNASSIGNED

WARDS = "wards"
SERVICES = f"services:{{{UNASSIGNED}}}"


def stream_key(ward: str) -> str:
    """Return the key of a ward's stream of alerts."""
    return f"alerts:{{{ward}}}"


def bed_key(ward: str, bed: str) -> str:
    """Return the key of a bed's newest state."""
    return f"bed:{{{ward}}}:{bed}"


def beds_key(ward: str) -> str:
    """Return the key of the names of a ward's beds."""
    return f"beds:{{{ward}}}"


def fence_key(ward: str) -> str:
    """Return the key of what the fence of a ward knows of each device."""
    return f"fence:{{{ward}}}"


def position_key(ward: str) -> str:
    """Return the key of the next offset of the alert topic for a ward."""
    return f"position:{{{ward}}}"


def trimmed_key(ward: str) -> str:
    """Return the key of the id of the newest alert that was taken from a ward's stream to keep it short."""
    return f"trimmed:{{{ward}}}"


def split_field(field: str) -> tuple[Literal["on", "risk", "vitals"], str, str] | None:
    """Return kind, condition ("" but for alarms) and device of a bed's field; None for what tells of no device.

    >>> split_field("on:asystole:monitor:7")
    ('on', 'asystole', 'monitor:7')
    """
    kind, _, rest = field.partition(":")
    match kind:
        case "on":
            condition, _, device = rest.partition(":")
            return "on", condition, device
        case "risk" | "vitals":
            return kind, "", rest
        case _:
            return None
