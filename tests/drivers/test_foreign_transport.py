"""Other people's drivers against the simulated transport instruments, unchanged."""

from collections.abc import Iterator

import numpy as np
import pytest
from nvscope_simulators.bench import BenchWorld
from nvscope_simulators.hosting import Host
from nvscope_simulators.instruments.keithley2400 import SimulatedKeithley2400
from nvscope_simulators.instruments.keithley6221 import SimulatedKeithley6221
from nvscope_simulators.instruments.sr830 import SimulatedSR830
from pymeasure.instruments.keithley import Keithley2400, Keithley6221
from pymeasure.instruments.srs import SR830
from pymeasure.instruments.srs.sr830 import LIAStatus
from qcodes.instrument_drivers import stanford_research as qcodes_srs
from qcodes.instrument_drivers.Keithley import Keithley2400 as QCodesKeithley2400


@pytest.fixture
def lab() -> Iterator[tuple[BenchWorld, Host]]:
    world = BenchWorld()
    with Host(world.timeline) as host:
        yield world, host


def test_pymeasure_runs_delta_mode(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    source = Keithley6221(
        host.address(host.serve(SimulatedKeithley6221(world))),
        visa_library="@py",
        read_termination="\n",
        write_termination="\n",
    )
    try:
        source.reset()
        assert "6221" in source.id
        assert source.delta_connected is True
        source.delta_unit = "Ohms"
        source.delta_high_source = 1e-4
        assert source.delta_low_source == -1e-4
        source.delta_delay = 0.002
        source.delta_cycles = 20
        source.delta_buffer_points = 20
        source.delta_compliance_abort_enabled = True
        source.source_compliance = 5
        assert source.source_compliance == 5
        source.delta_arm()
        source.delta_start()
        assert source.check_errors() == []
        host.advance(10.0)
        value, time = source.delta_sense
        assert value == pytest.approx(0.5, rel=1e-2)
        assert time == pytest.approx(19 * 0.105)
        values = np.array(source.delta_values).reshape(-1, 2)
        assert values.shape == (20, 2)
        assert values[:, 0] == pytest.approx(0.5, rel=1e-2)
        assert source.measurement_events & 512
        source.delta_abort()
        source.source_current = 1e-5
        source.enable_source()
        assert source.source_enabled is True
        assert world.ports.excitation.current == 1e-5
        source.shield_to_guard_enabled = True
        source.output_low_grounded = True
        assert source.shield_to_guard_enabled is True
        assert source.check_errors() == []
        source.waveform_function = "square"
        source.waveform_amplitude = 1e-4
        source.waveform_offset = 2e-5
        source.waveform_frequency = 347
        source.waveform_duration_set_infinity()
        source.waveform_arm()
        source.waveform_start()
        assert (source.waveform_function, source.waveform_frequency) == ("square", 347)
        assert world.ports.excitation.current == 2e-5
        source.waveform_abort()
        assert source.check_errors() == []
        source.write("SOUR:DELT:HIGH 1")
        assert source.check_errors() == [[-222, '"Data out of range"']]
        source.shutdown()
    finally:
        source.adapter.close()
    host.advance(0.1)
    assert world.ports.excitation.current == 0.0


def test_pymeasure_reads_an_sr830(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    lockin = SR830(
        host.address(host.serve(SimulatedSR830(world))),
        visa_library="@py",
        read_termination="\n",
        write_termination="\n",
    )
    try:
        assert "SR830" in lockin.id
        lockin.sine_voltage = 1.0
        lockin.frequency = 137.0
        lockin.sensitivity = 10e-6
        lockin.time_constant = 0.03
        lockin.filter_slope = 24
        assert (lockin.frequency, lockin.sensitivity, lockin.time_constant) == (137.0, 10e-6, 0.03)
        host.advance(2.0)
        assert lockin.x == pytest.approx(5e-6, rel=1e-2)
        assert lockin.magnitude == pytest.approx(5e-6, rel=1e-2)
        x, _ = lockin.xy
        assert x == pytest.approx(5e-6, rel=1e-2)
        assert lockin.lia_status & LIAStatus.FREQ_RANGE_CHANGE
        assert lockin.lia_status == LIAStatus.NO_ERROR
        lockin.channel1 = "R"
        assert lockin.get_scaling("X") == (0.0, 1)
        lockin.sample_frequency = 64
        lockin.write("SEND 0;REST;STRT")
        assert lockin.buffer_count == 0
        host.advance(1.01)
        lockin.pause_buffer()
        assert lockin.buffer_count == 64
        lockin.write("AGAN")
        assert int(lockin.status) & 2 == 0
        lockin.write("OFLT?")
        host.advance(10.0)
        assert lockin.read() == "7"
    finally:
        lockin.adapter.close()


# QCoDeS's driver trips over QCoDeS's own deprecations; that is not ours to mend
@pytest.mark.filterwarnings("ignore:Parameter ch._databuffer:qcodes.utils.deprecate.QCoDeSDeprecationWarning")
def test_qcodes_reads_an_sr830(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    lockin = qcodes_srs.SR830("lockin", host.address(host.serve(SimulatedSR830(world))), visalib="@py", terminator="\n")
    try:
        assert lockin.get_idn()["model"] == "SR830"
        lockin.amplitude(2.0)
        lockin.frequency(137.0)
        lockin.sensitivity(20e-6)
        lockin.time_constant(0.1)
        assert lockin.sensitivity() == 20e-6
        host.advance(5.0)
        assert lockin.R() == pytest.approx(1e-5, rel=1e-2)
        assert lockin.snap("x", "y")[0] == pytest.approx(1e-5, rel=1e-2)
        lockin.ch1_display("R")
        assert lockin.ch1_display() == "R"
        lockin.buffer_SR(8)
        assert lockin.buffer_SR() == 8
        lockin.buffer_reset()
        lockin.buffer_start()
        lockin.buffer_trig_mode("OFF")
        assert lockin.buffer_npts() == 0
        host.advance(1.01)
        lockin.buffer_pause()
        assert lockin.buffer_npts() == 8
    finally:
        lockin.close()


def test_qcodes_measures_with_a_2400(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    meter = QCodesKeithley2400("meter", host.address(host.serve(SimulatedKeithley2400(world))), visalib="@py")
    try:
        assert "2400" in meter.get_idn()["model"]
        meter.mode("CURR")
        assert meter.mode() == "CURR"
        meter.compliancev(5)
        meter.curr(1e-3)
        with pytest.raises(RuntimeError, match="output off"):
            meter.volt()
        meter.output(1)
        assert meter.volt() == pytest.approx(0.1005, rel=1e-3)
        assert meter.resistance() == pytest.approx(100.5, rel=1e-3)
        assert world.ports.excitation.current == pytest.approx(1e-3)
        meter.output(0)
        assert meter.output() == 0
        assert meter.ask("SYST:ERR?") == '0,"No error"'
    finally:
        meter.close()
    assert world.ports.excitation.current == 0.0


def test_pymeasure_measures_with_a_2400(lab: tuple[BenchWorld, Host]) -> None:
    world, host = lab
    meter = Keithley2400(
        host.address(host.serve(SimulatedKeithley2400(world))),
        visa_library="@py",
        read_termination="\n",
        write_termination="\n",
    )
    try:
        assert "2400" in meter.id
        meter.source_mode = "current"
        meter.source_current = 1e-3
        meter.compliance_voltage = 5
        meter.voltage_nplc = 1
        meter.source_enabled = True
        assert meter.voltage == pytest.approx(0.1005, rel=1e-3)
        everything = meter.measure_all()
        assert everything["resistance"] == pytest.approx(100.5, rel=1e-3)
        meter.source_current = 0.06
        assert meter.voltage == pytest.approx(5.0, rel=1e-3)  # limited
        meter.filter_enabled = True
        meter.filter_count = 10
        assert meter.filter_count == 10
        meter.auto_zero_enabled = False
        meter.output_off_state = "zero"
        assert meter.output_off_state == "zero"
        assert meter.check_errors() == []
        meter.write(":SOUR:CURR 2")
        assert meter.check_errors() == [[-222, '"Data out of range"']]
        meter.shutdown()
    finally:
        meter.adapter.close()
    host.advance(0.1)
    assert world.ports.excitation.current == 0.0
