"""What the subcommands of `semantic-field` do; each takes its options and returns an exit code.

To add one, write such a function in the module that it belongs to, a line in `COMMANDS`, and its
arguments in `cli.py`. What only some of them need is imported inside them, so that `--help` is
quick.
"""

from collections.abc import Callable

from semantic_field_ros.commands.mapping import ask, export, maps, train, view
from semantic_field_ros.commands.measuring import bars, doctor, evaluate
from semantic_field_ros.commands.robot import demo, node, query, replay
from semantic_field_ros.commands.shared import Options

COMMANDS: dict[str, Callable[[Options], int]] = {
    "demo": demo,
    "node": node,
    "replay": replay,
    "query": query,
    "train": train,
    "ask": ask,
    "maps": maps,
    "export": export,
    "view": view,
    "eval": evaluate,
    "doctor": doctor,
    "bars": bars,
}
