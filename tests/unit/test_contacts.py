"""Contacts: what the simulated lab puts between them, and what the check makes of it."""

import asyncio
import math
from types import SimpleNamespace

import numpy as np
import pytest
from nvscope_simulators.faults import FaultPlan
from nvscope_simulators.ports import Ports, TriggerBus
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.cell import Cell
from nvscope_simulators.world.conductor import Leads
from nvscope_simulators.world.lab_world import build_world
from nvscope_simulators.world.settings import WorldSettings
from nvscope_simulators.world.wiring import switched

from nvscope.analysis.contacts import CONTACTS, measure_contacts
from nvscope.analysis.dataset import MapPoint
from nvscope.cli.selection import select
from nvscope.config import Loading, Sample, read_model
from nvscope.devices.transport import Excitation
from nvscope.engine.planning import planning_rig
from nvscope.errors import ConfigError, LimitError

BOTH = {("I+", "gasket"): 0.5e6, ("I-", "gasket"): 0.5e6}
STANDARD = ((0, 0), (1, 1), (2, 2), (3, 3))


@pytest.fixture(scope="module")
def s1():
    return build_world(
        Timeline(),
        Ports(),
        read_model(Sample, "samples", "s1"),
        read_model(Loading, "loadings", "s1"),
        WorldSettings(),
        1,
    )


def test_the_standard_wiring_is_what_leads_wired_for_good_give(s1):
    law = s1.sample_truth.transport
    four, two = s1.resistances()
    through = switched(s1.network().conductance(s1.crystal_temperature), law.lead_resistance, Leads(), STANDARD)
    # two relays of 0.1 ohm are in the source's path
    assert through == pytest.approx((four, two + 2 * law.lead_resistance + 0.2), rel=1e-6)


def test_a_conductor_is_reciprocal_and_its_pairings_sum_to_zero(s1):
    g = s1.network().conductance(s1.crystal_temperature)

    def r(a, b, c, d):
        return switched(g, 4.0, Leads(), ((0, a), (1, b), (2, c), (3, d)))[0]

    assert r(0, 1, 2, 3) == pytest.approx(r(2, 3, 0, 1), rel=1e-6)
    assert r(1, 0, 2, 3) == pytest.approx(-r(0, 1, 2, 3), rel=1e-6)
    assert r(0, 1, 2, 3) + r(0, 3, 1, 2) + r(0, 2, 3, 1) == pytest.approx(0, abs=1e-6 * r(0, 1, 2, 3))


def test_insulation_leaks_and_broken_leads(s1):
    g = s1.network().conductance(s1.crystal_temperature)
    to_gasket = ((0, 0), (1, 4), (2, 0), (3, 4))
    assert switched(g, 4.0, Leads(), to_gasket)[1] > 1e10
    # 0.5 MΩ from each current lead; the sample joins them
    assert switched(g, 4.0, Leads(leaks=BOTH), to_gasket)[1] == pytest.approx(0.25e6, rel=1e-3)
    assert switched(g, 4.0, Leads(open={"I+"}), STANDARD)[1] > 1e10
    assert math.isinf(switched(g, 4.0, Leads(), ((1, 1), (2, 2), (3, 3)))[1])


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"kind": "leak-gasket", "at": "0 s", "detail": "gate 1 Mohm"}, "detail names one of I"),
        ({"kind": "leak-gasket", "at": "0 s", "detail": "I+ 2 K"}, "expected a quantity in"),
        ({"kind": "contact-open", "at": "0 s", "detail": "V+ 3 ohm"}, "takes a contact and nothing else"),
        ({"kind": "contact-open", "command": "x", "detail": "V+"}, "say when with at alone"),
        ({"kind": "quench", "at": "0 s"}, "cell cannot have 'quench'"),
    ],
)
def test_a_fault_of_the_cell_is_checked_before_the_lab_comes_up(fault, complaint):
    plan = FaultPlan([{"instrument": "cell", **fault}], "rig.toml", Timeline(), TriggerBus(), 1)
    with pytest.raises(ConfigError, match=complaint):
        plan.attach("cell", Cell(Leads()))


def test_faults_of_the_cell_begin_and_end():
    leads, timeline = Leads(), Timeline()
    faults = [
        {"instrument": "cell", "kind": kind, "at": "1 s", "duration": "2 s", "detail": detail}
        for kind, detail in (("contact-open", "V-"), ("contact-noisy", "V+ 2 uV"), ("leak-wire", "I+"))
    ]
    FaultPlan(faults, "rig.toml", timeline, TriggerBus(), 1).attach("cell", Cell(leads))
    asyncio.run(timeline.advance(1.5, wait=False))
    assert (leads.open, leads.noise, leads.leaks) == ({"V-"}, {"V+": pytest.approx(2e-6)}, {("I+", "wire"): 1e6})
    asyncio.run(timeline.advance(3.5, wait=False))
    assert leads == Leads()


def test_leads_wired_for_good_cannot_be_exchanged():
    chosen = select("simulated", "s1", None)
    rig = planning_rig(chosen.rig, chosen.sample, chosen.loading, (8, 8))
    with pytest.raises(LimitError, match="contact matrix"):
        rig.transport.check(Excitation(1e-4, 10, ("I-", "I+", "V+", "V-")))
    rig.transport.check(Excitation(1e-4, 10))


def checked(g, leads, rng, rectified=0.0):
    """What a run on this conductor would have stored."""
    points = []

    def point(check, wiring, current, **attrs):
        columns = (*CONTACTS, "gasket", "wire")
        closed = [(row, columns.index(name)) for row, name in enumerate(wiring)]
        four, two = switched(g, 4.0, leads, closed)
        insulated = two * current > 2.0
        found = {"transfer_resistance": 2.0 / current if insulated else four, "insulated": insulated}
        err = math.hypot(4e-9, leads.noise_between(*wiring[2:])) / current
        found = found if insulated else {k: v + rng.normal(0, err) if "res" in k else v for k, v in found.items()}
        if check == "linearity" and not insulated:
            found = {"resistance": found["transfer_resistance"] * (1 + rectified * current), "resistance_err": err}
        attrs = {"check": check, "wiring": list(wiring), "current": current, "transfer_resistance_err": err, **found}
        points.append(MapPoint(len(points), "check-contacts", 295.0, 0.0, attrs, {}))

    for current in (3e-5, 1e-4, 1e-3):
        point("linearity", CONTACTS, current)
    for i in range(4):
        for j in range(i + 1, 4):
            point("two-probe", (CONTACTS[i], CONTACTS[j]) * 2, 3e-4)
    for a, b, c, d in (("I+", "I-", "V+", "V-"), ("I+", "V-", "I-", "V+"), ("I+", "V+", "V-", "I-")):
        point("four-probe", (a, b, c, d), 3e-4)
        point("exchanged", (c, d, a, b), 3e-4)
    point("reversed", ("I-", "I+", "V+", "V-"), 3e-4)
    for contact in CONTACTS:
        for metal in ("gasket", "wire"):
            point("leakage", (contact, metal) * 2, 1e-9)
    return measure_contacts(SimpleNamespace(points=points))


def test_good_contacts_pass_and_bad_ones_are_named(s1):
    g = s1.network().conductance(s1.crystal_temperature)
    rng = np.random.default_rng(1)
    good = checked(g, Leads(), rng)
    assert good.troubles == ()
    assert all(leak.bound and leak.resistance == pytest.approx(2e9) for leak in good.leaks)
    # a lead of 4 ohm, its contact, two relays, and the sample's share
    assert all(4.0 < ohms < 6.0 for ohms in good.lead.values())
    leaking = checked(g, Leads(leaks=BOTH), rng)
    assert any("leakage to the gasket" in text for text in leaking.troubles)
    assert not any("wire" in text for text in leaking.troubles)
    broken = checked(g, Leads(open={"V-"}), rng)
    assert broken.troubles == ("no current flows through V-: is open",)
    assert math.isnan(broken.lead["V-"])
    assert all(4.0 < broken.lead[name] < 6.0 for name in CONTACTS[:3])
    crackling = checked(g, Leads(noise={"V+": 5e-6}), rng)
    assert crackling.noisy == ("V+",)
    assert crackling.troubles == (f"the voltage is noisy at V+: {crackling.noise * 1e6:.3g} µV in the mean of a point",)
    assert crackling.noise == pytest.approx(5e-6, rel=0.01)
    rectifying = checked(g, Leads(), rng, rectified=20.0)
    assert any("depends on the current" in text for text in rectifying.troubles)
