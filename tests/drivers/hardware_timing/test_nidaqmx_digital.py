"""Digital lines of the simulated card: static, clocked, read back; and the laser's gate."""

from __future__ import annotations

import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType, LineGrouping
from nidaqmx.stream_readers import DigitalMultiChannelReader
from nitypes.waveform import DigitalWaveform


def test_the_gate_line_opens_and_closes_the_laser_and_outlives_its_task(lab, options):
    laser = lab.world.ports.laser
    with nidaqmx.Task(grpc_options=options) as task:
        task.do_channels.add_do_chan("Dev1/port0/line0")
        assert laser.gate_open is False
        task.write(True)
        assert laser.gate_open is True
        assert task.read() is True
    assert laser.gate_open is True
    with nidaqmx.Task(grpc_options=options) as task:
        channel = task.do_channels.add_do_chan("Dev1/port0/line0")
        channel.do_invert_lines = True
        task.write(True)
    assert laser.gate_open is False


@pytest.mark.parametrize("grouping", [LineGrouping.CHAN_PER_LINE, LineGrouping.CHAN_FOR_ALL_LINES])
def test_lines_read_back_what_was_written(options, grouping):
    with nidaqmx.Task(grpc_options=options) as output, nidaqmx.Task(grpc_options=options) as inputs:
        output.do_channels.add_do_chan("Dev1/port0/line0:3", line_grouping=grouping)
        inputs.di_channels.add_di_chan("Dev1/port0/line0:3", line_grouping=LineGrouping.CHAN_PER_LINE)
        output.start()
        output.write([True, False, True, False] if grouping == LineGrouping.CHAN_PER_LINE else 0b0101)
        assert inputs.read() == [True, False, True, False]


def test_ports_read_back_what_was_written(options):
    with nidaqmx.Task(grpc_options=options) as output, nidaqmx.Task(grpc_options=options) as inputs:
        channel = output.do_channels.add_do_chan("Dev1/port0")
        assert channel.do_num_lines == 32
        inputs.di_channels.add_di_chan("Dev1/port0/line0:7, Dev1/port0/line8:31")
        for value in (0xDEADBEEF, 1, 2**31, 0):
            output.write(value)
            assert inputs.read() == value


def test_port_1_lines_are_pfi_terminals(lab, edges, options):
    """port2/line4 is the pin PFI12, to which the sweep cable is connected."""
    with nidaqmx.Task(grpc_options=options) as task:
        task.do_channels.add_do_chan("Dev1/port2/line4")
        for level in (True, False, True):
            task.write(level)
    assert edges == [0.0, 0.0]


def test_a_clocked_line_follows_its_pattern(lab, options):
    levels: list[bool] = []
    with nidaqmx.Task(grpc_options=options) as task:
        task.do_channels.add_do_chan("Dev1/port0/line0", line_grouping=LineGrouping.CHAN_PER_LINE)
        task.timing.cfg_samp_clk_timing(100.0, sample_mode=AcquisitionType.FINITE, samps_per_chan=6)
        assert task.write([False, True, True, False, True, False]) == 6
        task.start()
        lab.advance(0.005)
        for _ in range(6):
            levels.append(lab.world.ports.laser.gate_open)
            lab.advance(0.01)
        assert task.is_task_done()
        task.wait_until_done(1.0)
        task.stop()
    assert levels == [False, True, True, False, True, False]


def test_a_line_clocked_by_a_counter_gates_in_step_with_its_pulses(lab, edges, options):
    """The hardware-timed sweep: one counter clocks source and camera, and the gate's pattern on the same clock."""
    states: list[bool] = []
    lab.world.ports.triggers.plug("sweep", lambda: states.append(lab.world.ports.laser.gate_open))
    with nidaqmx.Task(grpc_options=options) as clock, nidaqmx.Task(grpc_options=options) as gate:
        gate.do_channels.add_do_chan("Dev1/port0/line0", line_grouping=LineGrouping.CHAN_PER_LINE)
        gate.timing.cfg_samp_clk_timing(1000.0, "/Dev1/Ctr0InternalOutput", samps_per_chan=4)
        gate.write([True, False, False, True])
        clock.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=50.0)
        clock.timing.cfg_implicit_timing(samps_per_chan=4)
        gate.start()
        clock.start()
        lab.advance(1.0)
        assert gate.is_task_done()
    assert len(edges) == 4
    assert states == [True, False, False, True]


def test_clocked_input_sees_clocked_output(lab, options):
    pattern = np.random.default_rng(3).integers(0, 2, 40).astype(bool)
    with nidaqmx.Task(grpc_options=options) as output, nidaqmx.Task(grpc_options=options) as inputs:
        output.do_channels.add_do_chan("Dev1/port0/line5", line_grouping=LineGrouping.CHAN_PER_LINE)
        output.timing.cfg_samp_clk_timing(100.0, samps_per_chan=40)
        output.write(pattern.tolist())
        output.export_signals.samp_clk_output_term = "/Dev1/PFI6"
        inputs.di_channels.add_di_chan("Dev1/port0/line4:5", line_grouping=LineGrouping.CHAN_PER_LINE)
        inputs.timing.cfg_samp_clk_timing(100.0, "/Dev1/PFI6", samps_per_chan=40)
        inputs.start()
        output.start()
        lab.advance(1.0)
        found = np.zeros((2, 40), dtype=np.uint32)
        assert DigitalMultiChannelReader(inputs.in_stream).read_many_sample_port_uint32(found, 40, timeout=1.0) == 40
    assert not found[0].any()
    assert found[1].astype(bool).tolist() == pattern.tolist()


def test_waveforms_carry_lines_in_their_documented_order(options):
    with nidaqmx.Task(grpc_options=options) as output, nidaqmx.Task(grpc_options=options) as inputs:
        output.do_channels.add_do_chan("Dev1/port1")
        inputs.di_channels.add_di_chan("Dev1/port1/line0:7")
        output.write(DigitalWaveform.from_port([0b1000_0110], mask=0xFF), auto_start=True)
        assert inputs.read() == 0b1000_0110
        assert [signal.name for signal in inputs.read_waveform().signals] == [
            f"Dev1/port1/line{n}" for n in range(7, -1, -1)
        ]


def test_a_reset_lets_all_lines_go(lab, options):
    device = nidaqmx.system.Device("Dev1", grpc_options=options)
    with nidaqmx.Task(grpc_options=options) as task:
        task.do_channels.add_do_chan("Dev1/port0/line0")
        task.write(True)
        device.reset_device()
        assert lab.world.ports.laser.gate_open is False
