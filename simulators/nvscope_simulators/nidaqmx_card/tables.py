"""Which properties each kind of task has on this card, with NI's defaults."""

from __future__ import annotations

from typing import Any

from nidaqmx.constants import (
    AcquisitionType,
    ChannelType,
    ConstrainedGenMode,
    CountDirection,
    Coupling,
    DataTransferActiveTransferMode,
    DigitalDriveType,
    Edge,
    ExportAction,
    FrequencyUnits,
    Level,
    OutputDataTransferCondition,
    OverwriteMode,
    Polarity,
    ReadRelativeTo,
    RegenerationMode,
    ResolutionType,
    SampleTimingType,
    SourceSelection,
    TerminalConfiguration,
    TimeUnits,
    TriggerType,
    UnderflowBehavior,
    UsageTypeCI,
    UsageTypeCO,
    VoltageUnits,
    WaitMode,
    WriteRelativeTo,
)

from nvscope_simulators.nidaqmx_card.properties import Property, choice, computed, constant

CI, CO = ChannelType.COUNTER_INPUT.value, ChannelType.COUNTER_OUTPUT.value
DI, DO = ChannelType.DIGITAL_INPUT.value, ChannelType.DIGITAL_OUTPUT.value
AI, AO = ChannelType.ANALOG_INPUT.value, ChannelType.ANALOG_OUTPUT.value
OUTPUTS = (CO, DO, AO)

_EDGES = (Edge.RISING.value, Edge.FALLING.value)
_MAX32 = 2**32 - 1
_TIMEBASE_TERMINAL = Property(default="")


def _filter(prefix: str) -> dict[str, Property]:
    return {
        f"{prefix}_DIG_FLTR_ENABLE": Property(default=False),
        f"{prefix}_DIG_FLTR_MIN_PULSE_WIDTH": Property(default=0.0, low=0.0),
        f"{prefix}_DIG_FLTR_TIMEBASE_SRC": Property(default=""),
        f"{prefix}_DIG_FLTR_TIMEBASE_RATE": Property(default=0.0, low=0.0),
        f"{prefix}_DIG_SYNC_ENABLE": Property(default=False),
    }


_CHANNEL = {
    "CHAN_TYPE": computed(lambda channel: channel.kind),
    "CHAN_DESCR": Property(default=""),
    "CHAN_IS_GLOBAL": constant(False),
    "PHYSICAL_CHAN_NAME": computed(lambda channel: ", ".join(channel.physical)),
}

_TRANSFER = {
    "DATA_XFER_MECH": choice(*(mode.value for mode in DataTransferActiveTransferMode)),
    "DATA_XFER_REQ_COND": choice(
        OutputDataTransferCondition.ON_BOARD_MEMORY_LESS_THAN_FULL.value,
        *(condition.value for condition in OutputDataTransferCondition),
    ),
    "USE_ONLY_ON_BRD_MEM": Property(default=False),
    "MEM_MAP_ENABLE": Property(default=False),
}

COUNTER_OUTPUT = {
    **_CHANNEL,
    "CO_OUTPUT_TYPE": computed(lambda channel: channel.usage),
    "CO_PULSE_IDLE_STATE": choice(Level.LOW.value, Level.HIGH.value),
    "CO_PULSE_TERM": Property(default=""),
    "CO_CTR_TIMEBASE_SRC": _TIMEBASE_TERMINAL,
    "CO_CTR_TIMEBASE_RATE": Property(default=1e8, low=1e-3, high=1e8),
    "CO_CTR_TIMEBASE_ACTIVE_EDGE": choice(*_EDGES),
    "CO_CTR_TIMEBASE_MASTER_TIMEBASE_DIV": Property(default=1, low=1, high=_MAX32),
    **_filter("CO_CTR_TIMEBASE"),
    "CO_OUTPUT_STATE": computed(lambda channel: channel.output_state),
    "CO_PULSE_DONE": computed(lambda channel: channel.pulse_done),
    "CO_COUNT": computed(lambda channel: channel.count),
    "CO_RDY_FOR_NEW_VAL": constant(True),
    "CO_PRESCALER": Property(default=1, low=1, high=8),
    "CO_AUTO_INCR_CNT": Property(default=0, low=0, high=_MAX32),
    "CO_CONSTRAINED_GEN_MODE": choice(*(mode.value for mode in ConstrainedGenMode)),
    "CO_ENABLE_INITIAL_DELAY_ON_RETRIGGER": Property(default=True),
    **{f"CO_{name}": entry for name, entry in _TRANSFER.items()},
}

PULSE_SHAPES = {
    UsageTypeCO.PULSE_FREQUENCY.value: {
        "CO_PULSE_FREQ_UNITS": choice(FrequencyUnits.HZ.value),
        "CO_PULSE_FREQ": Property(default=1.0, low=1e-9, high=5e7, while_running=True),
        "CO_PULSE_DUTY_CYC": Property(default=0.5, low=1e-9, high=1.0 - 1e-9, while_running=True),
        "CO_PULSE_FREQ_INITIAL_DELAY": Property(default=0.0, low=0.0),
    },
    UsageTypeCO.PULSE_TIME.value: {
        "CO_PULSE_TIME_UNITS": choice(TimeUnits.SECONDS.value),
        "CO_PULSE_HIGH_TIME": Property(default=0.01, low=1e-9, while_running=True),
        "CO_PULSE_LOW_TIME": Property(default=0.01, low=1e-9, while_running=True),
        "CO_PULSE_TIME_INITIAL_DELAY": Property(default=0.0, low=0.0),
    },
    UsageTypeCO.PULSE_TICKS.value: {
        "CO_PULSE_HIGH_TICKS": Property(default=100, low=2, high=_MAX32, while_running=True),
        "CO_PULSE_LOW_TICKS": Property(default=100, low=2, high=_MAX32, while_running=True),
        "CO_PULSE_TICKS_INITIAL_DELAY": Property(default=0, low=0, high=_MAX32),
    },
}

DIGITAL_OUTPUT = {
    **_CHANNEL,
    "DO_NUM_LINES": computed(lambda channel: len(channel.lines)),
    "DO_INVERT_LINES": Property(default=False),
    "DO_TRISTATE": Property(default=False),
    "DO_OUTPUT_DRIVE_TYPE": choice(DigitalDriveType.ACTIVE_DRIVE.value),
    "DO_LINE_STATES_START_STATE": choice(Level.NO_CHANGE.value),
    "DO_LINE_STATES_PAUSED_STATE": choice(Level.NO_CHANGE.value),
    "DO_LINE_STATES_DONE_STATE": choice(Level.NO_CHANGE.value),
    **{f"DO_{name}": entry for name, entry in _TRANSFER.items()},
}

DIGITAL_INPUT = {
    **_CHANNEL,
    "DI_NUM_LINES": computed(lambda channel: len(channel.lines)),
    "DI_INVERT_LINES": Property(default=False),
    "DI_TRISTATE": Property(default=True),
    **{name: entry for name, entry in _filter("DI").items() if "TIMEBASE" not in name and "SYNC" not in name},
    **{f"DI_{name}": entry for name, entry in _TRANSFER.items() if name in ("DATA_XFER_MECH", "MEM_MAP_ENABLE")},
}

ANALOG_INPUT = {
    **_CHANNEL,
    "AI_MEAS_TYPE": computed(lambda channel: channel.usage),
    "AI_MIN": Property(default=-5.0, low=-10.0, high=10.0),
    "AI_MAX": Property(default=5.0, low=-10.0, high=10.0),
    "AI_RNG_LOW": Property(default=-5.0, low=-10.0, high=0.0),
    "AI_RNG_HIGH": Property(default=5.0, low=0.1, high=10.0),
    "AI_TERM_CFG": choice(
        TerminalConfiguration.DIFF.value, TerminalConfiguration.RSE.value, TerminalConfiguration.NRSE.value
    ),
    "AI_VOLTAGE_UNITS": choice(VoltageUnits.VOLTS.value),
    "AI_CUSTOM_SCALE_NAME": constant(""),
    "AI_COUPLING": choice(Coupling.DC.value),
    "AI_RESOLUTION": constant(16.0),
    "AI_RESOLUTION_UNITS": choice(ResolutionType.BITS.value),
    "AI_RAW_SAMP_SIZE": constant(16),
    "AI_DATA_XFER_MECH": choice(*(mode.value for mode in DataTransferActiveTransferMode)),
    "AI_MEM_MAP_ENABLE": Property(default=False),
}

ANALOG_OUTPUT = {
    **_CHANNEL,
    "AO_OUTPUT_TYPE": computed(lambda channel: channel.usage),
    "AO_MIN": Property(default=-10.0, low=-10.0, high=10.0),
    "AO_MAX": Property(default=10.0, low=-10.0, high=10.0),
    "AO_DAC_RNG_LOW": Property(default=-10.0, low=-10.0, high=-5.0),
    "AO_DAC_RNG_HIGH": Property(default=10.0, low=5.0, high=10.0),
    "AO_DAC_REF_SRC": choice(SourceSelection.INTERNAL.value),
    "AO_DAC_REF_VAL": Property(default=10.0, low=5.0, high=10.0),
    "AO_RESOLUTION_UNITS": choice(ResolutionType.BITS.value),
    "AO_TERM_CFG": choice(TerminalConfiguration.RSE.value),
    "AO_VOLTAGE_UNITS": choice(VoltageUnits.VOLTS.value),
    "AO_CUSTOM_SCALE_NAME": constant(""),
    "AO_RESOLUTION": constant(16.0),
    **{f"AO_{name}": entry for name, entry in _TRANSFER.items()},
}

COUNTER_INPUT: dict[str, Property] = {
    **_CHANNEL,
    "CI_MEAS_TYPE": computed(lambda channel: channel.usage),
    "CI_COUNT": computed(lambda channel: channel.count),
    "CI_CTR_TIMEBASE_SRC": _TIMEBASE_TERMINAL,
    "CI_CTR_TIMEBASE_RATE": Property(default=1e8, low=1e-3, high=1e8),
    "CI_CTR_TIMEBASE_ACTIVE_EDGE": choice(*_EDGES),
    "CI_PRESCALER": Property(default=1, low=1, high=8),
    "CI_DUP_COUNT_PREVENT": Property(default=False),
    "CI_MEM_MAP_ENABLE": Property(default=False),
    "CI_MIN": Property(default=0.0),
    "CI_MAX": Property(default=0.0),
}

MEASUREMENTS: dict[int, tuple[str, str, dict[str, Property]]] = {
    UsageTypeCI.COUNT_EDGES.value: (
        "CI_COUNT_EDGES_TERM",
        "CI_COUNT_EDGES_ACTIVE_EDGE",
        {
            "CI_COUNT_EDGES_TERM": Property(default=""),
            "CI_COUNT_EDGES_DIR": choice(CountDirection.COUNT_UP.value, CountDirection.COUNT_DOWN.value),
            "CI_COUNT_EDGES_INITIAL_CNT": Property(default=0, low=0, high=_MAX32),
            "CI_COUNT_EDGES_ACTIVE_EDGE": choice(*_EDGES),
            **_filter("CI_COUNT_EDGES"),
        },
    ),
    UsageTypeCI.FREQUENCY.value: (
        "CI_FREQ_TERM",
        "CI_FREQ_STARTING_EDGE",
        {
            "CI_FREQ_TERM": Property(default=""),
            "CI_FREQ_STARTING_EDGE": choice(*_EDGES),
            "CI_FREQ_UNITS": choice(FrequencyUnits.HZ.value),
        },
    ),
    UsageTypeCI.PERIOD.value: (
        "CI_PERIOD_TERM",
        "CI_PERIOD_STARTING_EDGE",
        {
            "CI_PERIOD_TERM": Property(default=""),
            "CI_PERIOD_STARTING_EDGE": choice(*_EDGES),
            "CI_PERIOD_UNITS": choice(TimeUnits.SECONDS.value),
        },
    ),
    UsageTypeCI.PULSE_WIDTH_DIGITAL.value: (
        "CI_PULSE_WIDTH_TERM",
        "CI_PULSE_WIDTH_STARTING_EDGE",
        {
            "CI_PULSE_WIDTH_TERM": Property(default=""),
            "CI_PULSE_WIDTH_STARTING_EDGE": choice(*_EDGES),
            "CI_PULSE_WIDTH_UNITS": choice(TimeUnits.SECONDS.value),
        },
    ),
    UsageTypeCI.DUTY_CYCLE.value: (
        "CI_DUTY_CYCLE_TERM",
        "CI_DUTY_CYCLE_STARTING_EDGE",
        {"CI_DUTY_CYCLE_TERM": Property(default=""), "CI_DUTY_CYCLE_STARTING_EDGE": choice(*_EDGES)},
    ),
    UsageTypeCI.PULSE_FREQ.value: (
        "CI_PULSE_FREQ_TERM",
        "CI_PULSE_FREQ_START_EDGE",
        {
            "CI_PULSE_FREQ_TERM": Property(default=""),
            "CI_PULSE_FREQ_START_EDGE": choice(*_EDGES),
            "CI_PULSE_FREQ_UNITS": choice(FrequencyUnits.HZ.value),
        },
    ),
    UsageTypeCI.PULSE_TIME.value: (
        "CI_PULSE_TIME_TERM",
        "CI_PULSE_TIME_START_EDGE",
        {
            "CI_PULSE_TIME_TERM": Property(default=""),
            "CI_PULSE_TIME_START_EDGE": choice(*_EDGES),
            "CI_PULSE_TIME_UNITS": choice(TimeUnits.SECONDS.value),
        },
    ),
    UsageTypeCI.PULSE_TICKS.value: (
        "CI_PULSE_TICKS_TERM",
        "CI_PULSE_TICKS_START_EDGE",
        {
            "CI_PULSE_TICKS_TERM": Property(default=""),
            "CI_PULSE_TICKS_START_EDGE": choice(*_EDGES),
        },
    ),
}
"""By kind of measurement: the properties naming its input terminal and its edge, and its own properties."""


def timing(kind: int) -> dict[str, Property]:
    """Return the timing properties of a task with channels of this kind."""
    types = [SampleTimingType.ON_DEMAND.value, SampleTimingType.SAMPLE_CLOCK.value]
    if kind in (CI, CO):
        types.append(SampleTimingType.IMPLICIT.value)
    return {
        "SAMP_TIMING_TYPE": choice(*types),
        "SAMP_QUANT_SAMP_MODE": choice(AcquisitionType.CONTINUOUS.value, AcquisitionType.FINITE.value),
        "SAMP_QUANT_SAMP_PER_CHAN": Property(default=1000, low=1, high=2**63),
        "SAMP_CLK_RATE": Property(default=1000.0, low=1e-6, high=1e7, while_running=kind in OUTPUTS),
        "SAMP_CLK_MAX_RATE": constant(1e7),
        "SAMP_CLK_SRC": Property(default=""),
        "SAMP_CLK_TERM": computed(lambda task: task.sample_clock_terminal),
        "SAMP_CLK_ACTIVE_EDGE": choice(*_EDGES),
        **_filter("SAMP_CLK"),
        "SAMP_CLK_TIMEBASE_SRC": Property(default=""),
        "SAMP_CLK_TIMEBASE_DIV": Property(default=100_000, low=1, high=_MAX32),
        **({"ON_DEMAND_SIMULTANEOUS_AO_ENABLE": Property(default=False)} if kind == AO else {}),
        "SAMP_CLK_TIMEBASE_RATE": Property(default=1e8, low=1e-3, high=1e8),
        "SAMP_CLK_UNDERFLOW_BEHAVIOR": choice(*(behaviour.value for behaviour in UnderflowBehavior)),
        "IMPLICIT_UNDERFLOW_BEHAVIOR": choice(*(behaviour.value for behaviour in UnderflowBehavior)),
        "REF_CLK_SRC": Property(default="None"),
        "REF_CLK_RATE": Property(default=1e7, low=1.0, high=1e8),
        "MASTER_TIMEBASE_SRC": constant(""),
        "MASTER_TIMEBASE_RATE": constant(1e8),
    }


def trigger(kind: int) -> dict[str, Property]:
    """Return the trigger properties of a task with channels of this kind."""
    edge_trigger = choice(TriggerType.NONE.value, TriggerType.DIGITAL_EDGE.value)
    table = {
        "START_TRIG_TYPE": edge_trigger,
        "START_TRIG_TERM": computed(lambda task: task.start_trigger_terminal),
        "START_TRIG_RETRIGGERABLE": Property(default=False),
        "DIG_EDGE_START_TRIG_SRC": Property(default=""),
        "DIG_EDGE_START_TRIG_EDGE": choice(*_EDGES),
        **_filter("DIG_EDGE_START_TRIG"),
    }
    if kind in (CI, CO):
        table |= {
            "ARM_START_TRIG_TYPE": edge_trigger,
            "DIG_EDGE_ARM_START_TRIG_SRC": Property(default=""),
            "DIG_EDGE_ARM_START_TRIG_EDGE": choice(*_EDGES),
            **_filter("DIG_EDGE_ARM_START_TRIG"),
            "PAUSE_TRIG_TYPE": choice(TriggerType.NONE.value, TriggerType.DIGITAL_LEVEL.value),
            "DIG_LVL_PAUSE_TRIG_SRC": Property(default=""),
            "DIG_LVL_PAUSE_TRIG_WHEN": choice(Level.HIGH.value, Level.LOW.value),
            **_filter("DIG_LVL_PAUSE_TRIG"),
        }
    return table


def export(kind: int) -> dict[str, Property]:
    """Return the export-signal properties of a task with channels of this kind."""
    table = {"START_TRIG_OUTPUT_TERM": Property(default="")}
    if kind == CO:
        return {
            "CTR_OUT_EVENT_OUTPUT_TERM": Property(default=""),
            "CTR_OUT_EVENT_OUTPUT_BEHAVIOR": choice(ExportAction.PULSE.value, ExportAction.TOGGLE.value),
            "CTR_OUT_EVENT_PULSE_POLARITY": choice(Polarity.ACTIVE_HIGH.value, Polarity.ACTIVE_LOW.value),
            "CTR_OUT_EVENT_TOGGLE_IDLE_STATE": choice(Level.LOW.value, Level.HIGH.value),
        }
    if kind == CI:
        return {"CTR_OUT_EVENT_OUTPUT_TERM": Property(default="")}
    return {
        **table,
        "START_TRIG_PULSE_POLARITY": choice(Polarity.ACTIVE_HIGH.value),
        "SAMP_CLK_OUTPUT_TERM": Property(default=""),
        "SAMP_CLK_OUTPUT_BEHAVIOR": choice(ExportAction.PULSE.value, ExportAction.LEVEL.value),
        "SAMP_CLK_PULSE_POLARITY": choice(Polarity.ACTIVE_HIGH.value, Polarity.ACTIVE_LOW.value),
    }


def buffer(kind: int) -> dict[str, Property]:
    """Return the buffer properties of a task with channels of this kind."""
    if kind in OUTPUTS:
        return {
            "OUTPUT_BUF_SIZE": Property(default=0, low=0, high=_MAX32),
            "OUTPUT_ONBRD_BUF_SIZE": constant(127 if kind == CO else 2047),
        }
    return {
        "INPUT_BUF_SIZE": Property(default=0, low=0, high=_MAX32),
        "INPUT_ONBRD_BUF_SIZE": constant(127 if kind == CI else 255),
    }


_WAIT: dict[str, Property] = {
    "WAIT_MODE": choice(WaitMode.SLEEP.value, *(mode.value for mode in WaitMode)),
    "SLEEP_TIME": Property(default=0.001, low=0.0),
    "OFFSET": Property(default=0),
}


def read() -> dict[str, Property]:
    """Return the read properties of a task."""
    number: Any = len
    return {
        **_WAIT,
        "CHANNELS_TO_READ": Property(default=""),
        "AUTO_START": Property(default=True),
        "READ_ALL_AVAIL_SAMP": Property(default=False),
        "OVERWRITE": choice(
            OverwriteMode.DO_NOT_OVERWRITE_UNREAD_SAMPLES.value, OverwriteMode.OVERWRITE_UNREAD_SAMPLES.value
        ),
        "RELATIVE_TO": choice(ReadRelativeTo.CURRENT_READ_POSITION.value),
        "CURR_READ_POS": computed(lambda task: task.engine.position),
        "TOTAL_SAMP_PER_CHAN_ACQUIRED": computed(lambda task: task.engine.total),
        "AVAIL_SAMP_PER_CHAN": computed(lambda task: task.engine.total - task.engine.position),
        "NUM_CHANS": computed(lambda task: number(task.channels)),
        "RAW_DATA_WIDTH": constant(4),
        "DIGITAL_LINES_BYTES_PER_CHAN": computed(lambda task: max(number(c.lines) for c in task.channels)),
    }


def write() -> dict[str, Property]:
    """Return the write properties of a task."""
    number: Any = len
    return {
        **_WAIT,
        "REGEN_MODE": choice(RegenerationMode.ALLOW_REGENERATION.value, RegenerationMode.DONT_ALLOW_REGENERATION.value),
        "RELATIVE_TO": choice(WriteRelativeTo.CURRENT_WRITE_POSITION.value, WriteRelativeTo.FIRST_SAMPLE.value),
        "NEXT_WRITE_IS_LAST": Property(default=False),
        "CURR_WRITE_POS": computed(lambda task: task.engine.position),
        "TOTAL_SAMP_PER_CHAN_GENERATED": computed(lambda task: task.engine.total),
        "SPACE_AVAIL": computed(lambda task: task.engine.space),
        "NUM_CHANS": computed(lambda task: number(task.channels)),
        "RAW_DATA_WIDTH": constant(4),
        "DIGITAL_LINES_BYTES_PER_CHAN": computed(lambda task: max(number(c.lines) for c in task.channels)),
    }
