"""Taking secrets out of what is shown or kept: URLs carry passwords, and commands carry URLs."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

_SECRET_WORDS = ("key", "token", "secret", "sig", "password", "credential")
# With a colon up to the last @, for passwords hold @ and / (but HOST:PORT/ is no user), else USER@.
_USER = re.compile(r"(?<=://)(?:[^\s/@:]*:(?!\d+/)\S*|[^/\s@]+)(?=@)")
_QUERY = re.compile(r"([?&][^=&\s]*(?:" + "|".join(_SECRET_WORDS) + r")[^=&\s]*=)[^&\s#]+", re.I)


def without_secrets(command: str) -> str:
    """``command`` with user information and signatures in its URLs replaced by ``***``."""
    return _QUERY.sub(r"\1***", _USER.sub("***", command))


def secrets_of(url: str) -> list[str]:
    """The secret words in a URL (or a chain of them), longest first, quoted and unquoted."""
    found = set()
    for user in _USER.findall(url):
        name, _, password = user.partition(":")
        # A name of a letter or two is no secret, and would be cut out of every other word.
        found |= {user, password, name if len(name) > 3 else ""}
    found |= {found.group(0).partition("=")[2] for found in _QUERY.finditer(url)}
    forms = found | {unquote(word) for word in found}
    forms |= {quote(word) for word in forms} | {quote(word, safe="") for word in forms}
    return sorted((word for word in forms if word), key=len, reverse=True)
