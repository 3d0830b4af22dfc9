"""Any camera with a Micro-Manager device adapter, C++ or Python, through pymmcore-plus."""

from __future__ import annotations

import contextlib
import inspect
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nvscope.config import Frozen
from nvscope.devices.roles import CameraFrame, Identity, Value
from nvscope.devices.sweeper import FramesLost
from nvscope.errors import ConfigError, InstrumentError, LimitError
from nvscope_drivers.micromanager_core import dispose_core, make_core
from nvscope_drivers.sequence_errors import SequenceErrors

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus
    from pymmcore_plus.experimental.unicore import UniMMCore

__all__ = ["FramesMissing", "MicroManagerCamera", "MicroManagerSettings"]

_POLL = 0.001
"""Wall seconds between looks for a frame."""
_ZERO_CELSIUS = 273.15


class MicroManagerSettings(Frozen):
    """What a rig file may say about the camera."""

    device_library: str = Field(default="", description='C++ device adapter, "HamamatsuHam"')
    device_name: str = Field(default="", description='device within the adapter, "HamamatsuHam_DCAM"')
    python_device: str = Field(default="", description='Python device, "package.module:Class"')
    python_arguments: dict[str, Any] = Field(
        default={}, description="keyword arguments of the Python device; the address comes with them if it takes one"
    )
    micromanager: str = Field(default="", description="folder of the device adapters; empty finds Micro-Manager")
    properties: dict[str, str | int | float] = Field(default={}, description="set when connecting, in this order")
    trigger_property: str = Field(
        default="TriggerSource", description="property that chooses the trigger; empty if none"
    )
    trigger_internal: str = Field(default="Internal", description="its value for free running")
    trigger_external: str = Field(default="External", description="its value for one exposure per trigger")
    gain_property: str = Field(default="Gain", description="property that sets the gain, where the camera has it")
    roi: tuple[int, int, int, int] | None = Field(default=None, description="x, y, width, height in pixels")
    buffer_megabytes: int = Field(default=128, ge=1, le=16384, description="circular buffer")
    number_tags: tuple[str, ...] = Field(
        default=("FrameNumber", "ImageNumber"), description="metadata that number frames, the camera's own count first"
    )
    saturation: int = Field(default=0, ge=0, le=65535, description="digital value of a saturated pixel; 0: from depth")

    @model_validator(mode="after")
    def _one_device(self) -> MicroManagerSettings:
        if bool(self.python_device) == bool(self.device_library and self.device_name):
            raise ValueError("give either device_library and device_name, or python_device")
        return self


class FramesMissing(FramesLost, InstrumentError):
    """The camera or its buffer lost frames; the sweep has to be repeated."""


class MicroManagerCamera:
    """The camera role over Micro-Manager's core."""

    Settings: ClassVar[type[Frozen]] = MicroManagerSettings
    LABEL: ClassVar[str] = "Camera"

    def __init__(self, core: CMMCorePlus, settings: MicroManagerSettings, device: Any | None) -> None:
        self._core = core
        self._settings = settings
        self._device = device
        self._errors = SequenceErrors(self.LABEL)
        self._expected = 0
        self._received = 0
        self._tag = ""
        self._exposure: float | None = None
        # also when nobody closes: a core left alone can abort the interpreter when it exits
        self._dispose = weakref.finalize(self, dispose_core, core)

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> MicroManagerCamera:
        """Load the camera and apply its settings.

        Parameters
        ----------
        address : str
            Handed to a Python device that takes an ``address``; otherwise unused.
        settings : MicroManagerSettings
        """
        assert isinstance(settings, MicroManagerSettings)
        # a folder without adapters keeps Python devices from searching for a Micro-Manager they do not need
        own = str(Path(__file__).parent) if settings.python_device else None
        core = make_core(settings.micromanager or own)
        try:
            device = _load(core, cls.LABEL, address, settings)
            camera = cls(core, settings, device)
            camera._configure()
        except BaseException:
            dispose_core(core)
            raise
        return camera

    def _configure(self) -> None:
        core = self._core
        with self._speaking("configure the camera"):
            core.setCameraDevice(self.LABEL)
            core.setCircularBufferMemoryFootprint(self._settings.buffer_megabytes)
            for name, value in self._settings.properties.items():
                core.setProperty(self.LABEL, name, value)
            if self._settings.roi is not None:
                core.setROI(self.LABEL, *self._settings.roi)
            components, depth = core.getNumberOfComponents(), core.getBytesPerPixel()
        if components != 1 or depth > 2:
            raise InstrumentError(
                f"{self._name}: makes images of {components} components and {depth} bytes per pixel; "
                "choose a monochrome pixel type of at most 16 bits"
            )

    # ------------------------------------------------------------------ every instrument

    def identify(self) -> Identity:
        """Ask the camera who it is."""
        with self._speaking("identify"):
            core = self._core
            library = self._settings.device_library or self._settings.python_device.partition(":")[0]
            name = self._property("CameraName") or core.getDeviceName(self.LABEL)
            serial = self._property("CameraID") or "unknown"
            return Identity(library, str(name), str(serial), core.getVersionInfo())

    def readings(self) -> Mapping[str, Value]:
        """Return exposure (s), region and, if the camera has one, sensor temperature (K)."""
        with self._speaking("read the camera"):
            found: dict[str, Value] = {
                "exposure": self._core.getExposure(self.LABEL) * 1e-3,
                "roi": " ".join(str(value) for value in self._core.getROI(self.LABEL)),
            }
            temperature = self._property("CCDTemperature")
            if temperature is not None:
                found["sensor_temperature"] = float(temperature) + _ZERO_CELSIUS
            return found

    def make_safe(self) -> None:
        """Stop exposing."""
        self.disarm()

    def close(self) -> None:
        """Stop exposing and unload the camera."""
        with contextlib.suppress(InstrumentError):
            self.disarm()
        self._errors.forget()
        self._dispose()

    # ------------------------------------------------------------------ the camera

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape (y, x)."""
        with self._speaking("ask for the image size"):
            return int(self._core.getImageHeight()), int(self._core.getImageWidth())

    def set_region(self, region: tuple[int, int, int, int] | None) -> None:
        """Read out only x, y, width, height, counted from the corner of the rig's own region; None for all of it."""
        base = self._settings.roi
        core = self._core
        if region is None and base is None:
            with self._speaking("read out the whole sensor"):
                core.clearROI()
            return
        x, y, width, height = region if region is not None else (0, 0, *(base or (0, 0, 0, 0))[2:])
        left, top = (base[0], base[1]) if base is not None else (0, 0)
        if base is not None and (x + width > base[2] or y + height > base[3]):
            raise LimitError(f"{self._name}: region {region} leaves the rig's own of {base[2]} x {base[3]} pixels")
        wanted = (left + x, top + y, width, height)
        with self._speaking(f"read out the region {wanted}"):
            core.setROI(self.LABEL, *wanted)
            got = tuple(int(value) for value in core.getROI(self.LABEL))
        if got != wanted:
            raise InstrumentError(
                f"{self._name}: asked for the region {wanted}, the camera made it {got}; choose one on its grid"
            )

    @property
    def saturation(self) -> int:
        """Digital value of a saturated pixel."""
        if self._settings.saturation:
            return self._settings.saturation
        with self._speaking("ask for the pixel depth"):
            reported = self._property("Saturation")
            return int(reported) if reported is not None else (1 << int(self._core.getImageBitDepth())) - 1

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure (s) and check what the camera made of it."""
        if not seconds > 0:
            raise LimitError(f"{self._name}: exposure must be positive, got {seconds:g} s")
        with self._speaking(f"set an exposure of {seconds:g} s"):
            self._core.setExposure(self.LABEL, seconds * 1e3)
            self._exposure = seconds
            self._check_exposure()

    def set_gain(self, gain: float) -> None:
        """Set the gain, where the camera has one under that name."""
        if not self._core.hasProperty(self.LABEL, self._settings.gain_property):
            raise LimitError(f"{self._name}: has no property {self._settings.gain_property!r}; set gain_property")
        with self._speaking(f"set a gain of {gain:g}"):
            self._core.setProperty(self.LABEL, self._settings.gain_property, gain)

    def _check_exposure(self) -> None:
        if self._exposure is None:
            return
        actual = self._core.getExposure(self.LABEL) * 1e-3
        if abs(actual - self._exposure) > max(0.01 * self._exposure, 2e-5):
            raise InstrumentError(f"{self._name}: asked for an exposure of {self._exposure:g} s, it is {actual:g} s")

    def arm(self, frames: int, *, external: bool) -> None:
        """Prepare for `frames` exposures; when this returns the camera hears triggers."""
        self.disarm()
        settings = self._settings
        with self._speaking(f"arm for {frames} frames"):
            if settings.trigger_property:
                value = settings.trigger_external if external else settings.trigger_internal
                self._core.setProperty(self.LABEL, settings.trigger_property, value)
            elif external:
                raise ConfigError(f"{self._name}: no trigger_property is configured, so it cannot be triggered")
            self._expected, self._received, self._tag = frames, 0, ""
            self._errors.listen()
            self._core.startSequenceAcquisition(self.LABEL, frames, 0, True)
            self._check_exposure()

    def pop(self, wait: float) -> list[CameraFrame]:
        """Return the frames that arrived, waiting up to `wait` (wall s) for the first.

        Raises
        ------
        FramesMissing
            If frame numbers skip, the buffer overflowed, or the sequence ended early.
        InstrumentError
            If the camera reported an error.
        """
        deadline = time.monotonic() + wait
        with self._speaking("take frames"):
            while not (count := self._core.getRemainingImageCount()):
                self._check_sequence()
                if time.monotonic() >= deadline:
                    return []
                time.sleep(_POLL)
            return [self._take() for _ in range(count)]

    def _take(self) -> CameraFrame:
        image, metadata = self._core.popNextImageAndMD()
        tags = dict(metadata)
        if not self._tag:
            self._tag = _find_tag(tags, self._settings.number_tags)
            if not self._tag:
                raise InstrumentError(
                    f"{self._name}: frames carry none of the numbers {', '.join(self._settings.number_tags)}; "
                    f"they carry {', '.join(sorted(tags))}: set number_tags"
                )
        number = int(tags[self._tag])
        if number != self._received:
            raise self._missing(f"frame {number} came when frame {self._received} was due")
        self._received += 1
        return CameraFrame(_as_uint16(image), number)

    def _check_sequence(self) -> None:
        """Raise if no more frames can come."""
        self._errors.raise_any(self._name)
        if not self._expected or self._received >= self._expected:
            return
        if self._core.isBufferOverflowed():
            raise self._missing(
                f"the circular buffer of {self._settings.buffer_megabytes} MB overflowed; enlarge buffer_megabytes"
            )
        # the last frames may have come between the count and this question
        if not self._core.isSequenceRunning(self.LABEL) and not self._core.getRemainingImageCount():
            self._errors.raise_any(self._name)
            raise self._missing("the camera stopped by itself")

    def _missing(self, why: str) -> FramesMissing:
        return FramesMissing(self._received, self._expected, f"{self._name}: {why}")

    def disarm(self) -> None:
        """Stop; frames not popped are discarded."""
        with self._speaking("stop"):
            if self._core.isSequenceRunning(self.LABEL):
                # UniMMCore cannot tell a Python camera to stop and would wait 2 s for one that has no frame to give
                abort = getattr(self._device, "abort_sequence", None)
                if abort is not None:
                    abort()
                self._core.stopSequenceAcquisition(self.LABEL)
            self._core.clearCircularBuffer()
        self._expected = 0
        self._errors.forget()

    # ------------------------------------------------------------------ helpers

    @property
    def _name(self) -> str:
        settings = self._settings
        return f"camera {settings.python_device or f'{settings.device_library}/{settings.device_name}'}"

    def _property(self, name: str) -> Any | None:
        return self._core.getProperty(self.LABEL, name) if self._core.hasProperty(self.LABEL, name) else None

    @contextlib.contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Turn the core's errors, and those of Python devices, into ours."""
        try:
            yield
        except (InstrumentError, ConfigError):
            raise
        except Exception as error:
            raise InstrumentError(f"{self._name}: could not {what}: {error}") from error


def _find_tag(tags: Mapping[str, Any], wanted: Sequence[str]) -> str:
    """Return the first of the wanted tags; compiled adapters put their label in front of tags of their own."""
    for name in wanted:
        for tag in tags:
            if tag == name or tag.endswith(f"-{name}"):
                return tag
    return ""


def _as_uint16(image: NDArray[Any]) -> NDArray[np.uint16]:
    return image if image.dtype == np.uint16 else image.astype(np.uint16)


def _load(core: UniMMCore, label: str, address: str, settings: MicroManagerSettings) -> Any | None:
    """Load and initialise the device; returns the object of a Python device."""
    if not settings.python_device:
        try:
            core.loadDevice(label, settings.device_library, settings.device_name)
            core.initializeDevice(label)
        except Exception as error:
            raise InstrumentError(
                f"cannot load the camera {settings.device_library}/{settings.device_name}: {error}"
            ) from error
        return None
    device = _make(address, settings)
    core.loadPyDevice(label, device)
    core.initializeDevice(label)
    outcome = device._initialized_  # the core keeps what went wrong here, and raises nothing
    if outcome is not True:
        raise InstrumentError(f"camera {settings.python_device} at {address}: {outcome}")
    return device


def _make(address: str, settings: MicroManagerSettings) -> Any:
    module, _, name = settings.python_device.partition(":")
    try:
        made: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f'python_device {settings.python_device!r}: {error}; write "package.module:Class"') from error
    arguments = dict(settings.python_arguments)
    if "address" in inspect.signature(made).parameters:
        arguments.setdefault("address", address)
    try:
        return made(**arguments)
    except TypeError as error:
        raise ConfigError(f"python_arguments of {settings.python_device}: {error}") from error
