"""The sample's thermal and magnetic biography, and the certificate computed from it."""

from nvscope.history.biography import Biography, Series
from nvscope.history.certificate import Certificate, Claim, Protocol, certify

__all__ = ["Biography", "Certificate", "Claim", "Protocol", "Series", "certify"]
