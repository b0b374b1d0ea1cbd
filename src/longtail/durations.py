"""Durations in words."""


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(0.0), duration(59.0), duration(3660.0), duration(200000.0)
    ('0 s', '59 s', '1 h 1 min', '2 d 8 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
