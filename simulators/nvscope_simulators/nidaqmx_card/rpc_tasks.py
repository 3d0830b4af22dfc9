"""Calls that make, run and end tasks."""

from __future__ import annotations

from typing import Any

from nidaqmx.constants import TaskMode

from nvscope_simulators.nidaqmx_card.card import MAX_TASKS, Card
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.rpc import Fields, Table, choice, task_of
from nvscope_simulators.nidaqmx_card.tasks import State, Task

MAX_NAME = 256
_INITIALIZE_NEW, _ATTACH = 1, 2


class SessionError(Exception):
    """The session name clashes or is unknown; `exists` says which."""

    def __init__(self, message: str, exists: bool) -> None:
        super().__init__(message)
        self.exists = exists


def create_task(card: Card, request: Any) -> Fields:
    """Make a task, or attach to the one of that name."""
    name, behaviour = request.session_name, request.initialization_behavior
    if len(name) > MAX_NAME or any(ord(character) < 32 for character in name):
        raise DAQmxError(Code.INVALID_CHAR_IN_STRING, String=name[:40])
    known = name in card.tasks
    if behaviour == _INITIALIZE_NEW and known:
        raise SessionError(f"Cannot initialize '{name}' when a session already exists.", exists=True)
    if behaviour == _ATTACH and not known:
        raise SessionError(f"Cannot attach to '{name}' because a session has not been initialized.", exists=False)
    if not known:
        if len(card.tasks) >= MAX_TASKS:
            raise DAQmxError(Code.PAL_MEMORY_FULL, Reason=f"more than {MAX_TASKS} tasks")
        name = name or card.new_name()
        card.tasks[name] = Task(name, card)
    return {"task": {"name": name}, "new_session_initialized": not known}


def load_task(card: Card, request: Any) -> Fields:
    """Refuse: no tasks are saved on this system."""
    raise DAQmxError(Code.TASK_NOT_IN_DATA_NEIGHBORHOOD, Task_Name=request.session_name[:80])


def clear_task(card: Card, request: Any) -> Fields:
    """Abort and forget."""
    card.clear(task_of(card, request))
    return {}


def start_task(card: Card, request: Any) -> Fields:
    """Start."""
    task_of(card, request).start()
    return {}


def stop_task(card: Card, request: Any) -> Fields:
    """Stop; the status is a warning if it had not finished."""
    return {"status": task_of(card, request).stop()}


def control(card: Card, request: Any) -> Fields:
    """Move a task through its states."""
    task = task_of(card, request)
    action = choice(request, "action")
    if action == TaskMode.TASK_START.value:
        task.start()
    elif action == TaskMode.TASK_STOP.value:
        return {"status": task.stop()}
    elif action == TaskMode.TASK_ABORT.value:
        task.abort()
    elif action == TaskMode.TASK_UNRESERVE.value:
        task.unreserve()
    else:
        states = {
            TaskMode.TASK_VERIFY.value: State.VERIFIED,
            TaskMode.TASK_RESERVE.value: State.RESERVED,
            TaskMode.TASK_COMMIT.value: State.COMMITTED,
        }
        if action not in states:
            raise task.error(Code.INVALID_ACTION_IN_CONTROL_TASK, Requested_Value=action)
        task.reach(states[action])
    return {}


def is_done(card: Card, request: Any) -> Fields:
    """Whether nothing is going on."""
    return {"is_task_done": task_of(card, request).done}


async def wait_until_done(card: Card, request: Any) -> Fields:
    """Wait on the wall clock; the lab goes on meanwhile."""
    await task_of(card, request).wait(request.time_to_wait)
    return {}


def _nth(names: list[str], index: int) -> Fields:
    if not 1 <= index <= len(names):
        raise DAQmxError(Code.CHAN_INDEX_INVALID, Index=index)
    return {"buffer": names[index - 1]}


def nth_channel(card: Card, request: Any) -> Fields:
    """Name the nth channel, counting from 1."""
    return _nth([channel.name for channel in task_of(card, request).channels], request.index)


def nth_device(card: Card, request: Any) -> Fields:
    """Name the nth device, counting from 1."""
    return _nth([card.model.device] if task_of(card, request).channels else [], request.index)


HANDLERS: Table = {
    "CreateTask": create_task,
    "LoadTask": load_task,
    "ClearTask": clear_task,
    "StartTask": start_task,
    "StopTask": stop_task,
    "TaskControl": control,
    "IsTaskDone": is_done,
    "WaitUntilTaskDone": wait_until_done,
    "GetNthTaskChannel": nth_channel,
    "GetNthTaskReadChannel": nth_channel,
    "GetNthTaskDevice": nth_device,
}
