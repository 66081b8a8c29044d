"""Taking secrets out of what is shown or kept: URLs carry passwords, and commands carry URLs."""

from __future__ import annotations

import re

_SECRET_WORDS = ("key", "token", "secret", "sig", "password", "credential")
_USER = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_QUERY = re.compile(r"([?&][^=&\s]*(?:" + "|".join(_SECRET_WORDS) + r")[^=&\s]*=)[^&\s#]+", re.I)


def is_secret(word: str) -> bool:
    """Whether the value of a URL's query under this name is nobody's business."""
    return any(part in word.lower() for part in _SECRET_WORDS)


def without_secrets(command: str) -> str:
    """``command`` with user information and signatures in its URLs replaced by ``***``."""
    return _QUERY.sub(r"\1***", _USER.sub("***", command))
