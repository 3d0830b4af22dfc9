"""Arrays, contacts, disturbances, ruby and the view: what else the simulated lab can be asked."""

import math

import numpy as np
import pytest
from nvscope_simulators.ports import Ports
from nvscope_simulators.timeline import Timeline
from nvscope_simulators.world.arrays import (
    JosephsonArray,
    array_resistance,
    frustration_factor,
    upper_critical_field,
)
from nvscope_simulators.world.conductor import Disturbance, Leads, voltages
from nvscope_simulators.world.imaging import View, contraction, shifted
from nvscope_simulators.world.lab_world import build_world
from nvscope_simulators.world.ruby import r1_wavelength
from nvscope_simulators.world.sample import TransportTruth
from nvscope_simulators.world.settings import OpticsSettings, WorldSettings

from nvscope.config import Loading, Sample, read_model

ARRAY = JosephsonArray()
NO_FIELD = np.zeros(3)


def across(b):
    return np.array([0.0, 0.0, b])


def lab(sample):
    return build_world(
        Timeline(),
        Ports(),
        read_model(Sample, "samples", sample),
        read_model(Loading, "loadings", sample),
        WorldSettings(),
        1,
    )


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_transition_has_two_steps_and_a_flat_residual():
    r = {t: array_resistance(ARRAY, t, NO_FIELD, 0.0) for t in (25.0, 15.0, 9.0, 6.0, 4.0)}
    assert r[15.0] == pytest.approx(ARRAY.island_fraction * ARRAY.normal_resistance, rel=0.02)
    assert r[25.0] > ARRAY.normal_resistance
    # an anomalous metal is flat; activated behaviour would fall by orders of magnitude from 6 to 4 K
    assert r[6.0] == pytest.approx(ARRAY.residual_resistance, rel=0.01)
    assert r[4.0] == pytest.approx(r[6.0], rel=0.01)


def test_oscillations_have_the_period_of_pairs():
    # triangular pitch 100 nm: (h/2e)/(√3 a²/2) = 0.2388 T
    assert ARRAY.period == pytest.approx(0.2388, abs=1e-4)
    field = np.linspace(0.0, 1.5, 3001)
    factor = np.array([frustration_factor(ARRAY, b) for b in field])
    peaks = field[1:-1][(factor[1:-1] > factor[:-2]) & (factor[1:-1] > factor[2:])]
    assert np.diff(peaks).mean() == pytest.approx(0.2388, rel=0.01)
    resistance = np.array([array_resistance(ARRAY, 12.0, across(b), 0.0) for b in field])
    # over a slowly rising background; twice the charge's period would show half as many
    smooth = resistance - np.polyval(np.polyfit(field, resistance, 3), field)
    spectrum = np.abs(np.fft.rfft(smooth * np.hanning(field.size), 16 * field.size))
    frequency = np.fft.rfftfreq(16 * field.size, field[1])
    above = frequency > 2.0
    assert 1 / frequency[above][spectrum[above].argmax()] == pytest.approx(0.2388, rel=0.03)


def test_oscillations_answer_to_the_field_across_the_film_only():
    along = np.array([0.1194, 0.0, 0.0])
    rest = array_resistance(ARRAY, 12.0, NO_FIELD, 0.0)
    # half a flux quantum per cell; along the film it only lowers Tc a little through Hc2
    assert array_resistance(ARRAY, 12.0, along, 0.0) < 1.2 * rest
    assert array_resistance(ARRAY, 12.0, across(0.1194), 0.0) > 1.8 * rest


@pytest.mark.parametrize("angle_law", ["tinkham", "ellipsoid"])
def test_upper_critical_field_solves_its_law(angle_law):
    law = ARRAY.model_copy(update={"angle_law": angle_law})
    for theta in np.linspace(0.0, math.pi / 2, 13):
        h = upper_critical_field(law, theta)
        first, second = h * math.sin(theta) / law.hc2_perpendicular, h * math.cos(theta) / law.hc2_parallel
        value = abs(first) + second**2 if angle_law == "tinkham" else first**2 + second**2
        assert value == pytest.approx(1.0)
    assert upper_critical_field(law, math.pi / 2) > upper_critical_field(law, 0.0)  # the reported reversal


def test_voltage_goes_with_the_cube_of_the_current_where_vortices_unbind():
    currents = np.array([1e-5, 2e-5])
    below = ARRAY.bkt_temperature - 1e-6
    v = [
        i * (array_resistance(ARRAY, below, NO_FIELD, i) - array_resistance(ARRAY, below, NO_FIELD, 0.0))
        for i in currents
    ]
    assert math.log(v[1] / v[0]) / math.log(2) == pytest.approx(3.0, abs=0.01)
    above = ARRAY.bkt_temperature + 0.01
    assert array_resistance(ARRAY, above, NO_FIELD, 1e-5) == array_resistance(ARRAY, above, NO_FIELD, 0.0)


def test_array_sample_answers_in_the_lab():
    world = lab("array")
    warm = world.four_probe_voltage(1e-6) - world.four_probe_voltage(0.0)
    assert warm == pytest.approx(1e-6 * array_resistance(ARRAY, 295.0, NO_FIELD, 0.0), rel=1e-3)
    assert world.two_probe_voltage(1e-6) == pytest.approx(2 * warm + 80e-6, rel=1e-3)
    assert not np.any(world.truth()["tc"])


# --- contacts and disturbances ----------------------------------------------------------------------------------------

LAW = TransportTruth()
REST = (2.0, 3.0)


def test_leads_add_to_two_probe_only():
    assert voltages(LAW, Leads(), REST, 1e-3, 0.0) == pytest.approx((2e-3, 11e-3))


def test_broken_contacts():
    seen, supplied = voltages(LAW, Leads(open={"I+"}), REST, 1e-3, 1e-6)
    assert math.isinf(supplied)
    assert seen == 1e-6
    seen, supplied = voltages(LAW, Leads(open={"V-"}), REST, 1e-3, 1e-6)
    assert seen == 1e-6
    assert supplied == pytest.approx(11e-3)
    assert voltages(LAW, Leads(open={"I-"}), REST, 0.0, 0.0) == (0.0, 0.0)
    assert math.isinf(voltages(LAW, Leads(), (math.nan, math.nan), -1e-3, 0.0)[1])


def test_leakage_shunts_the_sample():
    seen, supplied = voltages(LAW, Leads(leaks={("I+", "wire"): 5.0, ("I-", "wire"): 6.0}), REST, 1e-3, 0.0)
    assert seen == pytest.approx(1e-3)
    assert supplied == pytest.approx(5.5e-3)


def test_offsets_do_not_depend_on_current_and_so_reverse_away():
    disturbed = Disturbance(temperature=20.0, room_temperature=295.0, laser=0.05, microwave=1.0).voltage(LAW)
    quiet = Disturbance(temperature=20.0, room_temperature=295.0, laser=0.0, microwave=0.0).voltage(LAW)
    assert disturbed - quiet == pytest.approx(0.05 * LAW.laser_pickup + LAW.microwave_pickup)
    there, back = (voltages(LAW, Leads(), REST, i, disturbed)[0] for i in (1e-4, -1e-4))
    assert (there - back) / 2 == pytest.approx(2e-4)
    assert (there + back) / 2 == pytest.approx(disturbed)


def test_empty_cell_has_no_path():
    world = lab("empty")
    assert math.isinf(world.two_probe_voltage(1e-4))
    assert abs(world.four_probe_voltage(1e-4)) < 1e-5


# --- ruby -------------------------------------------------------------------------------------------------------------


def test_ruby_scale():
    assert r1_wavelength(0.0, 296.0) == pytest.approx(694.24e-9)
    # 0.365 nm/GPa at low pressure (the linear scale of Piermarini et al.)
    assert (r1_wavelength(1e9, 296.0) - r1_wavelength(0.0, 296.0)) / 1e-9 == pytest.approx(0.365, rel=0.02)
    # the published form, inverted
    ratio = r1_wavelength(21e9, 296.0) / r1_wavelength(0.0, 296.0)
    assert 1904 / 7.665 * (ratio**7.665 - 1) == pytest.approx(21.0)
    # blue shift on cooling, steady below 50 K
    assert r1_wavelength(0.0, 20.0) < r1_wavelength(0.0, 100.0) < r1_wavelength(0.0, 296.0)


def test_ruby_in_the_lab_reads_its_own_place():
    world = lab("s1")
    ratio = world.ruby_wavelength() / r1_wavelength(0.0, 295.0)
    pressure = 1904 / 7.665 * (ratio**7.665 - 1)
    assert 14.0 < pressure < 21.0  # beside the sample, where less of the load arrives


# --- the view ---------------------------------------------------------------------------------------------------------


def test_contraction_is_over_at_low_temperature():
    assert contraction(300.0) == 0.0
    assert contraction(20.0) > 0.98
    assert contraction(100.0) == pytest.approx(0.85, abs=0.05)


def test_view_rests_when_focused_and_drifts_slowly():
    still = View(OpticsSettings(drift=0.0), 1)
    assert still.displacement(0.0, 60.0) == (0.0, 0.0)
    assert still.extra_blur(60.0) == 0.0
    assert math.hypot(*still.displacement(0.0, 295.0)) == pytest.approx(0.46e-6, abs=0.03e-6)
    first, second = View(OpticsSettings(), 7), View(OpticsSettings(), 7)
    path = [first.displacement(t, 60.0) for t in np.linspace(0, 36000, 50)]
    assert second.displacement(36000.0, 60.0) == pytest.approx(path[-1])  # whoever looked in between
    steps = np.diff([v[0] for v in (first.displacement(60.0 * k, 60.0) for k in range(3000))])
    assert steps.std() == pytest.approx(5e-10 * math.sqrt(60), rel=0.1)


def test_shifting_smooth_images_by_fractions_of_a_pixel():
    y, x = np.mgrid[:40, :50]
    image = 0.3 * x - 0.1 * y + 2.0
    moved = shifted(np.stack([image, 2 * image]), 0.4, -1.7)
    np.testing.assert_allclose(moved[0][5:-5, 5:-5], (image + 0.3 * 1.7 + 0.1 * 0.4)[5:-5, 5:-5])
    np.testing.assert_allclose(moved[1], 2 * moved[0])
    assert shifted(image, 0, 0) is image


def test_picture_moves_with_the_cell():
    current = 97e-4 / 1.003e-3  # in zero field lines have kinks where the stress vanishes, and do not interpolate
    world = lab("s1")
    world.ports.magnet.current["z"] = current
    before = np.asarray(world.snapshot()["f_plus"])
    shift = np.array([world.snapshot()["shift_x"], world.snapshot()["shift_y"]])
    assert np.hypot(*shift) > 0.3e-6  # far from the focus temperature
    truth = world.truth()["tau"]
    assert before.shape == truth.shape
    still = build_world(
        Timeline(),
        Ports(),
        read_model(Sample, "samples", "s1"),
        read_model(Loading, "loadings", "s1"),
        WorldSettings.model_validate({"optics": {"contraction": "0 um", "drift": 0.0}}),
        1,
    )
    still.ports.magnet.current["z"] = current
    reference = np.asarray(still.snapshot()["f_plus"])
    rows, columns = shift[1] / (40e-6 / 64), shift[0] / (40e-6 / 64)
    error = before - shifted(reference, rows, columns)
    assert np.abs(error[3:-3, 3:-3]).max() < 0.1e6
    assert np.abs((before - reference)[3:-3, 3:-3]).max() > 0.5e6
