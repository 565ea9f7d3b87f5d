"""What a federation can compute: built-in tasks, and those that plugins register.

A plugin is an entry point in the group `secured_node.tasks`: its name is the task's, its object a `Task` without
arguments. Built-in names cannot be taken over. Plugins are loaded only in the worker.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from secured_node.data.errors import DataError
from secured_node.tasks.base import Task
from secured_node.tasks.bench import Bench
from secured_node.tasks.glm import Glm
from secured_node.tasks.summary import Summary
from secured_node.tasks.train import Train

ENTRY_POINTS = "secured_node.tasks"

BUILT_IN: dict[str, type[Task[Any, Any, Any]]] = {task.name: task for task in (Summary, Glm, Train, Bench)}


def find_task(name: str) -> Task[Any, Any, Any]:
    """The task of that name. Raises `DataError` if there is none or it cannot be loaded."""
    if name in BUILT_IN:
        return BUILT_IN[name]()
    for plugin in entry_points(group=ENTRY_POINTS).select(name=name):
        try:
            task = plugin.load()()
        except (ImportError, AttributeError, TypeError):
            raise DataError(f"task '{name}'", "its plugin cannot be loaded", "install the plugin again") from None
        if isinstance(task, Task):
            return task
        raise DataError(f"task '{name}'", "its plugin is not a Task", "tell the plugin's author")
    raise DataError(f"task '{name}'", "there is no such task here", f"known tasks: {', '.join(task_names())}")


def task_names() -> list[str]:
    """All tasks that this site can run, sorted."""
    return sorted({*BUILT_IN, *entry_points(group=ENTRY_POINTS).names})
