"""Counter output and input of the simulated card, used the way NI's own examples use a real one."""

from __future__ import annotations

import threading
import time

import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType, Edge, Level, Signal, TaskMode, TriggerType
from nidaqmx.stream_readers import CounterReader
from nidaqmx.stream_writers import CounterWriter
from nidaqmx.types import CtrFreq


def test_a_finite_train_makes_exactly_its_pulses_at_its_rate(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as task:
        channel = task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=250.0, duty_cycle=0.25)
        assert channel.co_pulse_term == "/Dev1/PFI12"
        task.timing.cfg_implicit_timing(sample_mode=AcquisitionType.FINITE, samps_per_chan=7)
        assert task.is_task_done()
        task.start()
        assert not task.is_task_done()
        lab.advance(0.0301)
        assert task.is_task_done() is True
        lab.advance(1.0)
        task.wait_until_done(timeout=1.0)
    assert np.allclose(edges, np.arange(7) * 0.004, atol=1e-9)


def test_the_initial_delay_shifts_the_train(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_time("Dev1/ctr0", initial_delay=0.5, low_time=0.1, high_time=0.3)
        task.timing.cfg_implicit_timing(samps_per_chan=3)
        task.start()
        lab.advance(5.0)
        assert task.is_task_done()
    assert np.allclose(edges, [0.5, 0.9, 1.3])


def test_an_idle_high_counter_rises_once_when_it_is_programmed_and_late_in_each_pulse(lab, edges, options):
    """The classic mistake: one receiver edge too many before the train, so every frame is off by one."""
    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_time("Dev1/ctr0", idle_state=Level.HIGH, low_time=0.1, high_time=0.3)
        task.timing.cfg_implicit_timing(samps_per_chan=3)
        task.control(TaskMode.TASK_COMMIT)
        assert edges == [0.0]
        task.start()
        lab.advance(5.0)
    assert np.allclose(edges, [0.0, 0.1, 0.5, 0.9])


def test_without_timing_a_counter_makes_one_pulse(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_time("Dev1/ctr0", low_time=0.5, high_time=1.0)
        task.start()
        lab.advance(0.9)
        assert not task.is_task_done()
        lab.advance(0.2)
        assert task.is_task_done()
    assert len(edges) == 1


def test_a_continuous_train_goes_on_until_stopped(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as task:
        channel = task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=10.0)
        task.timing.cfg_implicit_timing(sample_mode=AcquisitionType.CONTINUOUS)
        task.start()
        lab.advance(0.96)
        assert channel.co_output_state == Level.LOW
        assert not task.is_task_done()
        channel.co_pulse_freq = 100.0
        lab.advance(0.148)
        task.stop()
        lab.advance(1.0)
    assert np.allclose(edges[:10], np.arange(10) * 0.1)
    # the pulse under way is finished as it was begun
    assert np.allclose(edges[10:], [1.0, *(1.055 + 0.01 * np.arange(6))])


def test_a_train_does_not_drift_over_a_hundred_thousand_pulses(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_ticks("Dev1/ctr0", "/Dev1/100MHzTimebase", low_ticks=500, high_ticks=500)
        task.timing.cfg_implicit_timing(samps_per_chan=100_000)
        task.start()
        lab.advance(0.999990)
        assert not task.is_task_done()
        lab.advance(0.0001)
        assert task.is_task_done()
        assert task.out_stream.total_samp_per_chan_generated == 100_000
    assert edges[-1] == pytest.approx(1.0, abs=5e-5)


def test_pulses_leave_where_they_are_routed(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as task:
        channel = task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=100.0)
        channel.co_pulse_term = "/Dev1/PFI7"
        task.timing.cfg_implicit_timing(samps_per_chan=4)
        task.start()
        lab.advance(1.0)
    assert edges == []
    with nidaqmx.Task(grpc_options=options) as task:
        channel = task.co_channels.add_co_pulse_chan_freq("Dev1/ctr2", freq=100.0)
        channel.co_pulse_term = "PFI12"
        assert channel.co_pulse_term == "/Dev1/PFI12"
        task.timing.cfg_implicit_timing(samps_per_chan=4)
        task.start()
        lab.advance(1.0)
    assert len(edges) == 4


def test_a_route_made_by_hand_carries_pulses_and_ends_when_disconnected(lab, edges, options):
    system = nidaqmx.system.System.remote(grpc_options=options)
    system.connect_terms("/Dev1/Ctr1InternalOutput", "/Dev1/PFI12")
    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_freq("Dev1/ctr1", freq=100.0)
        task.timing.cfg_implicit_timing(samps_per_chan=3)
        for _ in range(2):
            task.start()
            lab.advance(1.0)
            task.stop()
        assert len(edges) == 6
        system.disconnect_terms("/Dev1/Ctr1InternalOutput", "/Dev1/PFI12")
        task.start()
        lab.advance(1.0)
    assert len(edges) == 6


def test_buffered_pulses_are_made_as_written(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0")
        task.timing.cfg_implicit_timing(samps_per_chan=4)
        task.write([CtrFreq(10.0, 0.5), CtrFreq(20.0, 0.5), CtrFreq(50.0, 0.2), CtrFreq(100.0, 0.5)])
        task.start()
        lab.advance(2.0)
        assert task.is_task_done()
    # a pulse is its idle phase, then its active phase; the first idle phase is the initial delay
    assert np.allclose(edges, [0.0, 0.05 + 0.025, 0.075 + 0.025 + 0.016, 0.116 + 0.004 + 0.005])


def test_a_start_trigger_starts_the_train(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as train, nidaqmx.Task(grpc_options=options) as line:
        train.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=100.0)
        train.timing.cfg_implicit_timing(samps_per_chan=2)
        train.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI1", Edge.FALLING)
        assert train.triggers.start_trigger.trig_type == TriggerType.DIGITAL_EDGE
        line.do_channels.add_do_chan("Dev1/port1/line1")
        line.start()
        train.start()
        lab.advance(1.0)
        line.write(True)
        lab.advance(1.0)
        assert edges == []
        assert not train.is_task_done()
        line.write(False)
        lab.advance(1.0)
        assert train.is_task_done()
    assert np.allclose(edges, [2.0, 2.01])


def test_a_retriggerable_train_answers_every_trigger(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as train, nidaqmx.Task(grpc_options=options) as clock:
        train.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=1000.0)
        train.timing.cfg_implicit_timing(samps_per_chan=3)
        train.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")  # jumpered to PFI13, ctr1's pin
        train.triggers.start_trigger.retriggerable = True
        clock.co_channels.add_co_pulse_chan_freq("Dev1/ctr1", freq=10.0)
        clock.timing.cfg_implicit_timing(samps_per_chan=4)
        train.start()
        clock.start()
        lab.advance(1.0)
        assert not train.is_task_done()
        train.stop()
    assert np.allclose(edges, [begin + k * 1e-3 for begin in (0.0, 0.1, 0.2, 0.3) for k in range(3)])


def test_a_pause_trigger_holds_the_train(lab, edges, options):
    with nidaqmx.Task(grpc_options=options) as train, nidaqmx.Task(grpc_options=options) as line:
        train.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=10.0)
        train.timing.cfg_implicit_timing(sample_mode=AcquisitionType.CONTINUOUS)
        train.triggers.pause_trigger.trig_type = TriggerType.DIGITAL_LEVEL
        train.triggers.pause_trigger.dig_lvl_src = "/Dev1/PFI1"
        train.triggers.pause_trigger.dig_lvl_when = Level.HIGH
        line.do_channels.add_do_chan("Dev1/port1/line1")
        line.start()
        line.write(False)
        train.start()
        lab.advance(0.26)
        line.write(True)
        lab.advance(10.0)
        assert len(edges) == 3
        line.write(False)
        lab.advance(0.1)
        train.stop()
    assert edges[3] == pytest.approx(10.30)


def test_counting_edges_agrees_with_the_pulses_made(lab, options):
    with nidaqmx.Task(grpc_options=options) as train, nidaqmx.Task(grpc_options=options) as counter:
        train.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=400_000.0)
        train.timing.cfg_implicit_timing(samps_per_chan=12_345)
        channel = counter.ci_channels.add_ci_count_edges_chan("Dev1/ctr1", initial_count=5)
        assert channel.ci_count_edges_term == "/Dev1/PFI3"
        channel.ci_count_edges_term = "/Dev1/PFI12"
        counter.start()
        train.start()
        lab.advance(1.0)
        assert counter.read() == 12_350


def test_counts_latched_by_another_counter_are_read_in_order(lab, options):
    with (
        nidaqmx.Task(grpc_options=options) as clock,
        nidaqmx.Task(grpc_options=options) as train,
        nidaqmx.Task(grpc_options=options) as counter,
    ):
        clock.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=100.0)
        clock.timing.cfg_implicit_timing(samps_per_chan=10)
        train.co_channels.add_co_pulse_chan_freq("Dev1/ctr1", freq=100.0)
        train.timing.cfg_implicit_timing(samps_per_chan=10)
        train.triggers.arm_start_trigger.trig_type = TriggerType.DIGITAL_EDGE
        train.triggers.arm_start_trigger.dig_edge_src = "/Dev1/Ctr0InternalOutput"
        channel = counter.ci_channels.add_ci_count_edges_chan("Dev1/ctr2")
        channel.ci_count_edges_term = "/Dev1/Ctr1InternalOutput"
        counter.timing.cfg_samp_clk_timing(
            100.0, "/Dev1/Ctr0InternalOutput", active_edge=Edge.FALLING, samps_per_chan=10
        )
        counter.start()
        train.start()
        clock.start()
        lab.advance(1.0)
        assert counter.read(number_of_samples_per_channel=10, timeout=1.0) == list(range(1, 11))


def test_pulses_are_measured_as_they_were_written(lab, options):
    with nidaqmx.Task(grpc_options=options) as train, nidaqmx.Task(grpc_options=options) as meter:
        train.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", idle_state=Level.HIGH)
        train.timing.cfg_implicit_timing(samps_per_chan=21)
        train.control(TaskMode.TASK_COMMIT)
        meter.ci_channels.add_ci_pulse_chan_freq("Dev1/ctr1", min_val=10, max_val=1e6)
        meter.ci_channels.all.ci_pulse_freq_term = "/Dev1/Ctr0InternalOutput"
        meter.timing.cfg_implicit_timing(samps_per_chan=20)
        rng = np.random.default_rng(1)
        rates, duties = rng.uniform(100.0, 1000.0, 21), rng.uniform(0.2, 0.8, 21)
        CounterWriter(train.out_stream).write_many_sample_pulse_frequency(rates, duties)
        meter.start()
        train.start()
        lab.advance(2.0)
        found, found_duties = np.zeros(20), np.zeros(20)
        CounterReader(meter.in_stream).read_many_sample_pulse_frequency(found, found_duties, 20, timeout=1.0)
    assert np.allclose(found, rates[1:], rtol=1e-5)
    assert np.allclose(found_duties, duties[1:], rtol=1e-4)


def test_waiting_for_a_train_does_not_hold_up_the_lab(lab, options):
    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=1.0)
        task.timing.cfg_implicit_timing(samps_per_chan=3)
        task.start()
        with pytest.raises(nidaqmx.DaqError) as caught:
            task.wait_until_done(timeout=0.05)
        assert caught.value.error_code == -200560
        outcome: list[object] = []
        waiter = threading.Thread(target=lambda: outcome.append(task.wait_until_done(timeout=20.0)))
        waiter.start()
        time.sleep(0.05)
        assert task.number_of_channels == 1  # answered while the other call waits
        lab.advance(10.0)
        waiter.join(10.0)
        assert outcome == [None]


def test_events_tell_of_pulses_and_of_the_end(lab, options):
    seen: list[str] = []
    finished = threading.Event()

    def done(handle, status, data):
        seen.append(f"done {status}")
        finished.set()
        return 0

    def pulse(handle, signal, data):
        seen.append("pulse")
        return 0

    with nidaqmx.Task(grpc_options=options) as task:
        task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=10.0)
        task.timing.cfg_implicit_timing(samps_per_chan=3)
        task.register_done_event(done)
        task.register_signal_event(Signal.COUNTER_OUTPUT_EVENT, pulse)
        task.start()
        with pytest.raises(nidaqmx.DaqError) as caught:
            task.register_done_event(done)
        assert caught.value.error_code == -200960  # not while running
        lab.advance(1.0)
        assert finished.wait(10.0)
        deadline = time.monotonic() + 10.0
        while len(seen) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        task.stop()
        task.register_done_event(None)
    assert sorted(seen) == ["done 0", "pulse", "pulse", "pulse"]
