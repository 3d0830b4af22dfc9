"""Voltages of the simulated card: out, in, clocked, refused."""

from __future__ import annotations

import threading

import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import READ_ALL_AVAILABLE, AcquisitionType, TaskMode


def test_an_output_is_read_back_through_the_cards_own_connection(options):
    with nidaqmx.Task(grpc_options=options) as output, nidaqmx.Task(grpc_options=options) as inputs:
        output.ao_channels.add_ao_voltage_chan("Dev1/ao0:1")
        inputs.ai_channels.add_ai_voltage_chan("Dev1/_ao0_vs_aognd, Dev1/_ao1_vs_aognd", min_val=-10, max_val=10)
        output.write([1.25, -3.5])
        readings = np.array([inputs.read() for _ in range(50)])
        assert inputs.ai_channels.all.ai_max == 10.0
    assert np.allclose(readings.mean(axis=0), [1.25, -3.5], atol=5e-4)
    assert np.all((readings.std(axis=0) > 5e-5) & (readings.std(axis=0) < 1e-3))


def test_an_open_input_reads_noise_about_zero(options):
    with nidaqmx.Task(grpc_options=options) as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai3")
        readings = np.array(task.read(number_of_samples_per_channel=20))
    assert abs(readings).max() < 0.01


def test_clocked_samples_come_at_their_rate_and_tell(lab, options):
    calls: list[int] = []
    both = threading.Event()

    def hundred(handle, kind, count, data):
        calls.append(count)
        if len(calls) == 10:
            both.set()
        return 0

    with nidaqmx.Task(grpc_options=options) as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(10_000.0, sample_mode=AcquisitionType.FINITE, samps_per_chan=1000)
        task.register_every_n_samples_acquired_into_buffer_event(100, hundred)
        task.start()
        lab.advance(0.0501)
        assert task.in_stream.total_samp_per_chan_acquired == 502
        assert not task.is_task_done()
        lab.advance(0.1)
        assert task.is_task_done()
        assert len(task.read(READ_ALL_AVAILABLE, timeout=1.0)) == 1000
        assert both.wait(10.0)
        task.stop()
    assert calls == [100] * 10


def test_a_ramp_is_generated_and_sampled_on_a_counters_clock(lab, options):
    ramp = np.linspace(-2.0, 2.0, 25)
    with (
        nidaqmx.Task(grpc_options=options) as clock,
        nidaqmx.Task(grpc_options=options) as output,
        nidaqmx.Task(grpc_options=options) as inputs,
    ):
        clock.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=1000.0)
        clock.timing.cfg_implicit_timing(samps_per_chan=25)
        clock.control(TaskMode.TASK_COMMIT)
        output.ao_channels.add_ao_voltage_chan("Dev1/ao2")
        output.timing.cfg_samp_clk_timing(1000.0, "/Dev1/Ctr0InternalOutput", samps_per_chan=25)
        inputs.ai_channels.add_ai_voltage_chan("Dev1/_ao2_vs_aognd")
        inputs.timing.cfg_samp_clk_timing(
            1000.0, "/Dev1/Ctr0InternalOutput", active_edge=nidaqmx.constants.Edge.FALLING, samps_per_chan=25
        )
        output.write(ramp, auto_start=False)
        inputs.start()
        output.start()
        clock.start()
        lab.advance(1.0)
        found = inputs.read(25, timeout=1.0)
    assert np.allclose(found, ramp, atol=2e-3)


@pytest.mark.parametrize(("value", "code"), [(11.0, -200561), (float("nan"), -200561), (float("inf"), -200561)])
def test_voltages_the_card_cannot_make(options, value, code):
    with nidaqmx.Task(grpc_options=options) as task:
        task.ao_channels.add_ao_voltage_chan("Dev1/ao0")
        with pytest.raises(nidaqmx.DaqError, match=str(code)):
            task.write(value)


def test_one_converter_serves_one_task_at_a_time(options):
    with nidaqmx.Task(grpc_options=options) as first, nidaqmx.Task(grpc_options=options) as second:
        first.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        second.ai_channels.add_ai_voltage_chan("Dev1/ai1")
        first.start()
        with pytest.raises(nidaqmx.DaqError, match="-50103"):
            second.start()
        first.stop()
        first.timing.cfg_samp_clk_timing(3e6)
        with pytest.raises(nidaqmx.DaqError, match="-200077"):
            first.start()
