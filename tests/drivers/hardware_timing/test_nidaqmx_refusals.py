"""What the simulated card refuses, and the error codes of NI-DAQmx it does so with."""

from __future__ import annotations

import grpc
import nidaqmx
import nidaqmx.errors
import pytest
from nidaqmx import GrpcSessionOptions
from nidaqmx.constants import AcquisitionType, LineGrouping, SampleTimingType, TaskMode
from nidaqmx.grpc_session_options import SessionInitializationBehavior
from nidaqmx.system import Device, PhysicalChannel, System


def refused(code: int):
    return pytest.raises(nidaqmx.DaqError, match=str(code))


def train(task: nidaqmx.Task, counter: str = "Dev1/ctr0", pulses: int = 5) -> None:
    task.co_channels.add_co_pulse_chan_freq(counter, freq=10.0)
    task.timing.cfg_implicit_timing(samps_per_chan=pulses)


@pytest.mark.parametrize(
    ("counter", "code"),
    [("Dev2/ctr0", -200220), ("Dev1/ctr4", -200170), ("Dev1/ai0", -200430), ("", -200170), ("Dev1/ctr0:x", -200086)],
)
def test_channels_that_do_not_exist(options, counter, code):
    with nidaqmx.Task(grpc_options=options) as task, refused(code):
        task.co_channels.add_co_pulse_chan_freq(counter)


def test_a_counter_belongs_to_one_task_at_a_time(lab, options):
    with nidaqmx.Task(grpc_options=options) as first, nidaqmx.Task(grpc_options=options) as second:
        train(first)
        train(second)
        first.start()
        with refused(-50103):
            second.start()
        lab.advance(2.0)
        with refused(-50103):
            second.start()  # done is not stopped
        first.stop()
        second.start()


def test_a_terminal_belongs_to_one_task_at_a_time(options):
    with nidaqmx.Task(grpc_options=options) as first, nidaqmx.Task(grpc_options=options) as second:
        train(first)
        train(second, "Dev1/ctr1")
        second.co_channels.all.co_pulse_term = "/Dev1/PFI12"
        first.control(TaskMode.TASK_RESERVE)
        with refused(-50103):
            second.control(TaskMode.TASK_RESERVE)
        first.control(TaskMode.TASK_UNRESERVE)
        second.control(TaskMode.TASK_RESERVE)


def test_a_task_without_channels_cannot_start(options):
    with nidaqmx.Task(grpc_options=options) as task, refused(-200478):
        task.start()


def test_a_running_task_cannot_be_started_or_reconfigured(options):
    with nidaqmx.Task(grpc_options=options) as task:
        train(task)
        task.start()
        with refused(-200479):
            task.start()
        with refused(-200557):
            task.timing.cfg_implicit_timing(samps_per_chan=3)
        with refused(-200557):
            task.co_channels.all.co_pulse_term = "/Dev1/PFI1"


def test_channels_of_different_types_do_not_mix(options):
    with nidaqmx.Task(grpc_options=options) as task:
        train(task)
        with refused(-200559):
            task.do_channels.add_do_chan("Dev1/port0/line0")
        with refused(-200489):
            task.co_channels.add_co_pulse_chan_freq("Dev1/ctr1", name_to_assign_to_channel="Dev1/ctr0")
        assert task.channel_names == ["Dev1/ctr0"]


def test_a_cleared_task_is_gone(options):
    task = nidaqmx.Task(grpc_options=options)
    handle, interpreter = task._handle, task._interpreter
    task.close()
    with refused(-200088):
        interpreter.start_task(handle)


def test_values_the_card_cannot_make_are_refused_not_changed(options):
    with nidaqmx.Task(grpc_options=options) as task:
        for frequency in (0.0, -1.0, 1e9, float("nan"), float("inf")):
            with refused(-200077):
                task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=frequency)
        for duty_cycle in (0.0, 1.0, 1.5):
            with refused(-200077):
                task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", duty_cycle=duty_cycle)
        task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=4e7)
        task.timing.cfg_implicit_timing(samps_per_chan=3)
        with refused(-200136):  # 2.5 ticks of the fastest timebase
            task.start()
        with refused(-200077):
            task.timing.cfg_implicit_timing(samps_per_chan=0)


def test_terminals_that_do_not_exist_or_cannot_be_driven(options):
    with nidaqmx.Task(grpc_options=options) as task:
        train(task)
        task.co_channels.all.co_pulse_term = "/Dev1/PFI99"
        with refused(-89121):
            task.control(TaskMode.TASK_VERIFY)
        task.co_channels.all.co_pulse_term = "/Dev1/20MHzTimebase"
        with refused(-89136):
            task.control(TaskMode.TASK_VERIFY)
        task.co_channels.all.co_pulse_term = "/Dev1/PFI12"
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI99")
        with refused(-89120):
            task.start()
    system = System.remote(grpc_options=options)
    with refused(-89120):
        system.connect_terms("/Dev1/Nowhere", "/Dev1/PFI1")
    with refused(-89131):
        system.connect_terms("/Dev1/PFI1", "/Dev1/PFI1")
    system.connect_terms("/Dev1/PFI1", "/Dev1/PFI2")
    for source in ("/Dev1/PFI3", "/Dev1/PFI2"):
        with refused(-89137):
            system.connect_terms(source, "/Dev1/PFI2" if source == "/Dev1/PFI3" else "/Dev1/PFI1")


def test_properties_that_do_not_apply(options):
    with nidaqmx.Task(grpc_options=options) as task:
        train(task)
        with refused(-200452):
            _ = task.co_channels.all.co_pulse_high_time
        with refused(-200452):
            task.in_stream.input_buf_size = 10
        with refused(-200077):
            task.timing.samp_timing_type = SampleTimingType.HANDSHAKE
    device = Device("Dev1", grpc_options=options)
    with refused(-200197):
        _ = device.tcpip_hostname
    with refused(-200220):
        _ = Device("Dev7", grpc_options=options).product_type
    with refused(-200170):
        _ = PhysicalChannel("Dev1/port9/line0", grpc_options=options).do_samp_modes


def test_writes_that_do_not_fit(options):
    with nidaqmx.Task(grpc_options=options) as task:
        task.do_channels.add_do_chan("Dev1/port0/line0:3", line_grouping=LineGrouping.CHAN_PER_LINE)
        with refused(-200846):
            task.write([True] * 4, auto_start=False)
        task.timing.cfg_samp_clk_timing(10.0, sample_mode=AcquisitionType.FINITE, samps_per_chan=4)
        with refused(-200462):
            task.start()
    with nidaqmx.Task(grpc_options=options) as task:
        task.do_channels.add_do_chan("Dev1/port1/line0", line_grouping=LineGrouping.CHAN_PER_LINE)
        task.timing.cfg_samp_clk_timing(10.0)
        with refused(-201062):  # only port 0 has a clock
            task.control(TaskMode.TASK_VERIFY)


def test_what_is_not_modelled_is_named(options):
    with (
        nidaqmx.Task(grpc_options=options) as task,
        pytest.raises(nidaqmx.DaqError, match="CreateAIThrmcplChan") as caught,
    ):
        task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai0")
    assert caught.value.error_code == -209876


def test_error_texts_by_number(options):
    interpreter = System.remote(grpc_options=options)._interpreter
    assert interpreter.get_error_string(-200077).startswith("Requested value is not a supported value")
    assert interpreter.get_error_string(-12345).startswith("Error code could not be found")


def test_named_sessions_are_shared_attached_to_and_required(channel):
    def options(name: str, behaviour: SessionInitializationBehavior) -> GrpcSessionOptions:
        return GrpcSessionOptions(channel, name, initialization_behavior=behaviour)

    auto, new, attach = SessionInitializationBehavior
    with pytest.raises(nidaqmx.errors.RpcError) as caught:
        nidaqmx.Task("sweep", grpc_options=options("sweep", attach))
    assert caught.value.rpc_code == grpc.StatusCode.FAILED_PRECONDITION
    with nidaqmx.Task("sweep", grpc_options=options("sweep", new)) as task:
        train(task)
        with nidaqmx.Task("sweep", grpc_options=options("sweep", auto)) as same:
            assert same.channel_names == ["Dev1/ctr0"]
        with pytest.raises(nidaqmx.errors.RpcError) as caught:
            nidaqmx.Task("sweep", grpc_options=options("sweep", new))
        assert caught.value.rpc_code == grpc.StatusCode.ALREADY_EXISTS
        assert task.number_of_channels == 1


def test_the_system_describes_the_card(options):
    system = System.remote(grpc_options=options)
    assert system.driver_version.major_version >= 20
    assert system.devices.device_names == ["Dev1"]
    device = system.devices["Dev1"]
    assert device.product_type == "PCIe-6363"
    assert device.is_simulated is False
    assert device.co_physical_chans.channel_names == [*(f"Dev1/ctr{n}" for n in range(4)), "Dev1/freqout"]
    assert len(device.do_lines) == 48
    assert {"/Dev1/PFI12", "/Dev1/Ctr0InternalOutput", "/Dev1/do/SampleClock"} <= set(device.terminals)
    assert device.do_ports["port0"].do_port_width == 32
    device.self_test_device()


def test_a_full_card_refuses_more_tasks(channel):
    tasks = [nidaqmx.Task(f"t{n}", grpc_options=GrpcSessionOptions(channel, f"t{n}")) for n in range(128)]
    with refused(-50352):
        nidaqmx.Task("one more", grpc_options=GrpcSessionOptions(channel, "one more"))
    for task in tasks:
        task.close()
