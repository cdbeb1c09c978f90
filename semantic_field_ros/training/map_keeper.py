"""Keeps a map on the disk beside its work: loads it at the start, saves it now and then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from semantic_field_ros.config import MapConfig
from semantic_field_ros.training.checkpoint import list_maps, map_path

logger = logging.getLogger(__name__)


class MapKeeper:
    """Loads and saves in `map.folder`, as the configuration says.

    Saving is done by a thread of its own, and once more at the end, but only when there is
    something that was not saved yet. A save that fails is logged; the next one may succeed.

    Args:
        config: what is kept under which name, and how often.
        save: writes the map to a path and returns the version that it wrote.
        load: replaces the map by the one at a path.
        version: of the map as it is, 0 while there is none.
        zones: what is saved with it; another object once that has changed.
        keyframes: a count that rises whenever those that are saved with it change, which they do
            also while nothing is learnt from them.

    Raises:
        ValueError: a name that is no plain folder name, or a negative period.
    """

    def __init__(
        self,
        config: MapConfig,
        save: Callable[[Path], int],
        load: Callable[[Path], None],
        version: Callable[[], int],
        zones: Callable[[], object],
        keyframes: Callable[[], int],
    ) -> None:
        if not config.autosave_s >= 0:
            raise ValueError(f"map.autosave_s must be at least 0, got {config.autosave_s}")
        self._config, self._save, self._load = config, save, load
        self._version, self._zones, self._keyframes = version, zones, keyframes
        self._folder = Path(config.folder).expanduser()
        self._path = map_path(self._folder, config.autosave)
        self._saved_version, self._saved_zones, self._saved_keyframes = 0, zones(), keyframes()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> None:
        """Loads the map to start from, if one is named.

        The autosaved one may be missing still, as at a robot's first start.

        Raises:
            ValueError: there is no such map, or it does not fit this configuration.
        """
        name = self._config.load
        if not name:
            return
        if name == self._config.autosave and name not in list_maps(self._folder):
            logger.info("no map %r in %s yet: starting anew", name, self._folder)
            return
        self._load(map_path(self._folder, name))
        logger.info("loaded map %r", name)
        if name == self._config.autosave:
            self._saved_version, self._saved_zones = self._version(), self._zones()
            self._saved_keyframes = self._keyframes()

    def start(self) -> None:
        """Saves every `map.autosave_s` seconds from now on; never if that is 0."""
        if self._config.autosave_s > 0:
            self._ending.clear()
            self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread and saves what was not saved yet."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._ending.set()
            thread.join()
            self._save_news()

    def _run(self) -> None:
        while not self._ending.wait(self._config.autosave_s):
            self._save_news()

    def _save_news(self) -> None:
        version, zones, keyframes = self._version(), self._zones(), self._keyframes()
        learnt = version != self._saved_version
        beside = zones is not self._saved_zones or keyframes != self._saved_keyframes
        if not version or not (learnt or beside):
            return
        try:
            self._saved_version = self._save(self._path)
        except Exception:  # a full disk must not end the mapping
            logger.exception("the map could not be saved to %s", self._path)
        else:
            self._saved_zones, self._saved_keyframes = zones, keyframes
            logger.info("saved version %d to %s", self._saved_version, self._path)
