"""The cell as something faults happen to: contacts that break, crackle, or leak to the metal around them."""

from __future__ import annotations

from dataclasses import dataclass

from nvscope.units import parse_quantity
from nvscope_simulators.world.conductor import CONTACTS, METALS, Leads

NAME = "cell"
"""What faults call it: no instrument of the rig, but part of every lab."""

_SIZES = {"contact-noisy": ("10 uV", "volt"), **{f"leak-{metal}": ("1 Mohm", "ohm") for metal in METALS}}
"""How bad, unless `detail` says otherwise, and in which unit."""
KINDS = ("contact-open", *_SIZES)


@dataclass(frozen=True)
class Cell:
    """Carries out faults on the leads."""

    leads: Leads
    model: str = NAME

    def strike(self, kind: str, on: bool, detail: str) -> None:
        """Let a fault begin or end; `detail` names the contact and how bad it is, see `read_detail`."""
        contact, size = read_detail(kind, detail)
        if kind == "contact-open":
            (self.leads.open.add if on else self.leads.open.discard)(contact)
        elif kind == "contact-noisy":
            if on:
                self.leads.noise[contact] = size
            else:
                self.leads.noise.pop(contact, None)
        elif on:
            self.leads.leaks[contact, kind.removeprefix("leak-")] = size
        else:
            self.leads.leaks.pop((contact, kind.removeprefix("leak-")), None)


def read_detail(kind: str, detail: str) -> tuple[str, float]:
    """Read ``"V+"`` or ``"I- 2 Mohm"``: the contact (I+), and how much it leaks (ohm) or crackles (V).

    Raises
    ------
    ValueError
        If it names no contact, or no such quantity.
    """
    contact, _, size = (detail.strip() or CONTACTS[0]).partition(" ")
    if contact not in CONTACTS:
        raise ValueError(f'detail names one of {", ".join(CONTACTS)} first, for example "V+", not {detail!r}')
    if kind not in _SIZES:
        if size:
            raise ValueError(f"{kind} takes a contact and nothing else, not {detail!r}")
        return contact, 0.0
    usual, unit = _SIZES[kind]
    found = parse_quantity(size.strip() or usual, unit)
    if found <= 0:
        raise ValueError(f"detail: {size.strip()} must be above zero")
    return contact, found
