"""The watch and the messages: gauges, cards, what is observed, told and delivered; milestones."""

from __future__ import annotations

from tests.mutants.mutant import mutants_of

_WATCH = "engine/test_watch.py"
_CARDS = "engine/machine/test_cards.py"
_GAUGES = "engine/machine/test_gauges.py"
_MESSENGER = "engine/test_messenger.py"
_CONTROL = "engine/test_control.py"
_NOTIFY = "test_notify_settings.py"

THE_WATCH = (
    *mutants_of(
        "engine/watch.py",
        (_WATCH,),
        ("watch: a pause is a stall", "        if self._is_paused:\n            return\n", ""),
        ("watch: stacks are not written down", "            self._dump()\n", "            pass\n"),
        (
            "watch: waiting for the disk, it pauses on top",
            "if not self._is_unsaved:",
            "if True:",
        ),
        (
            "watch: a best model takes no room",
            "self._save_bytes = event.num_bytes * BEST_SHARE",
            "self._save_bytes = event.num_bytes",
        ),
        (
            "watch: errors of before the run count",
            "(card.bad_ecc or 0) - (self._first_ecc or 0)",
            "(card.bad_ecc or 0)",
        ),
        (
            "watch: one answer of a card counts at every look",
            "if card.num_looks == self._num_card_looks:",
            "if False:",
        ),
        (
            "watch: slow looks are not counted from zero again",
            "self._slowed = self._slowed + 1 if card.is_slowed else 0",
            "self._slowed = self._slowed + 1",
        ),
        (
            "watch: it measures what does not train",
            "is_stated = self._is_training and not self._is_paused",
            "is_stated = True",
        ),
        (
            "watch: a failure of its own ends the run",
            "        except Exception as error:  # the run does not die of its watch\n"
            "            self._tell_failure(error)",
            "        except ZeroDivisionError as error:\n            self._tell_failure(error)",
        ),
        (
            "watch: it goes on after the run's end",
            "        if self._has_ended:\n            return\n",
            "",
        ),
    ),
    *mutants_of(
        "engine/alarms.py",
        (_WATCH,),
        (
            "alarms: told at every look",
            "if known is not None and _RANKS[verdict.severity] <= _RANKS[known.verdict.severity]:",
            "if known is not None and _RANKS[verdict.severity] < _RANKS[known.verdict.severity]:",
        ),
        (
            "alarms: one that gets worse is not told",
            "<= _RANKS[known.verdict.severity]:",
            "<= 2:",
        ),
        (
            "alarms: over after one look more",
            "if known.num_calm < calm_looks:",
            "if known.num_calm <= calm_looks:",
        ),
        (
            "alarms: calm looks count that did not run",
            "                known.num_calm = 0\n",
            "",
        ),
        (
            "alarms: silenced, it acts",
            "verdict = silenced(found, config.guards.silenced)",
            "verdict = found",
        ),
        (
            "alarms: it pauses where it may not",
            'if verdict.action == "pause" and not config.watch.pauses:',
            "if False:",
        ),
        (
            "alarms: it never pauses",
            '        if verdict.action == "pause":\n            self',
            "        if False:\n            self",
        ),
    ),
    *mutants_of(
        "engine/observing.py",
        (_WATCH,),
        (
            "pace: the first epoch counts",
            "if was_first or len(self._readings) < LEAST_READINGS:",
            "if len(self._readings) < LEAST_READINGS:",
        ),
        (
            "pace: one reading less",
            "len(self._readings) < LEAST_READINGS:",
            "len(self._readings) < LEAST_READINGS - 1:",
        ),
        (
            "pace: the first reading of an epoch counts",
            "        self._readings = []\n        self._skips_next = True\n        if event",
            "        self._readings = []\n        if event",
        ),
        (
            "pace: a reading with a pause in it counts",
            '''which a pause is part of."""
        self._skips_next = True''',
            '''which a pause is part of."""''',
        ),
        (
            "pace: another setting is held against the old pace",
            'if event.key.startswith("compute.") or event.key.endswith("batch_size"):',
            "if False:",
        ),
        (
            "pace: the whole network is held against the classifier",
            "if event.epoch == self._freeze_epochs + 1:",
            "if event.epoch == self._freeze_epochs:",
        ),
        (
            "waits: readings count alike, whatever their time",
            "sum(seconds * share for seconds, share in self._readings)",
            "sum(share for seconds, share in self._readings)",
        ),
        (
            "waits: a pause counts",
            "        self._last = None\n\n    def note",
            "        pass\n\n    def note",
        ),
        (
            "waits: before the window is full",
            "        if self._seconds < self._window_seconds:\n            return None\n",
            "",
        ),
        (
            "waits: for ever",
            "self._seconds -= self._readings.popleft()[0]",
            "break",
        ),
    ),
    *mutants_of(
        "engine/machine/cards.py",
        (_CARDS,),
        ("cards: silence is not counted", "num_silent=before.num_silent + 1", "num_silent=0"),
        (
            "cards: heat counts as a fault",
            "is_slowed=_is_on(brake) or _is_on(slowdown)",
            "is_slowed=_is_on(brake) or _is_on(slowdown) or _is_on(warm)",
        ),
        (
            "cards: the power brake is not read",
            "_is_on(brake) or _is_on(slowdown)",
            "_is_on(slowdown)",
        ),
        ("cards: heat is not read", "is_warm=_is_on(heat) or _is_on(warm)", "is_warm=_is_on(heat)"),
        ("cards: a share is a percentage", "share / 100", "share"),
        ("cards: a mebibyte is a kilobyte", "_MEBIBYTE = 1 << 20", "_MEBIBYTE = 1 << 10"),
        (
            "cards: a failing program has answered",
            "if done.returncode == 0 else None",
            "if True else None",
        ),
        (
            "cards: an answer of another form is read",
            "    if len(parts) != len(_FIELDS):\n        return None\n",
            "",
        ),
        ("cards: it is asked for ever", "timeout=LIMIT_SECONDS,", "timeout=None,"),
    ),
    *mutants_of(
        "engine/machine/gauges.py",
        (_GAUGES,),
        (
            "gauges: a container's limit does not count",
            "if limit is not None and (total is None or limit < total):",
            "if False:",
        ),
        ("gauges: what is available is what is used", "max(0, total - available)", "available"),
        (
            "gauges: children are not counted",
            "pids = [os.getpid(), *children_of(os.getpid())]",
            "pids = [os.getpid()]",
        ),
        ("gauges: waiting for the disk is work", "sum(times[3:5])", "times[3]"),
        (
            "gauges: processors that may not be used count",
            "or int(number) not in allowed:",
            "or False:",
        ),
        (
            "gauges: slow sums are not noticed",
            "self._has_slow_sums = self._clock() - started > SLOW_SECONDS",
            "pass",
        ),
        (
            "gauges: shared memory is left out",
            'table["Pss_Anon"] + table.get("Pss_Shmem", 0)',
            'table["Pss_Anon"]',
        ),
        ("gauges: a kilobyte has 1,000 bytes", "int(words[0]) * 1_024", "int(words[0]) * 1_000"),
    ),
)

CONTROL = mutants_of(
    "engine/control.py",
    (_CONTROL, _WATCH),
    (
        "control: a wish to pause is not granted",
        "self._is_paused, self._pause_why = True, wish",
        "self._pause_why = wish",
    ),
    (
        "control: a pause of the watch saves nothing",
        "self._save_is_asked = self._closed is None",
        "pass",
    ),
    (
        "control: after the training a pause saves",
        "self._save_is_asked = self._closed is None",
        "self._save_is_asked = True",
    ),
    (
        "control: the reason of a pause is not told",
        "self._is_paused, self._pause_why = True, wish",
        "self._is_paused = True",
    ),
    (
        "control: a save is asked for ever",
        "asked, self._save_is_asked = self._save_is_asked, False",
        "asked = self._save_is_asked",
    ),
    (
        "control: a signal does not end a pause",
        "while self._is_paused and self._flag.reason is None:",
        "while self._is_paused:",
    ),
    ("control: the owner's death is not seen", "self._parent_pid() != self._owner_pid", "False"),
    ("control: the time is never over", "if self.deadline.is_near():", "if False:"),
    (
        "control: a wait is progress",
        "            self.progress.note_waiting()\n",
        "            self.progress.note(step)\n",
    ),
    ("control: every look is a step", "if step == self.step + 1:", "if True:"),
    (
        "control: an old wait goes on",
        "self.waited_seconds > self.last_progress_seconds and",
        "self.waited_seconds > 0.0 and",
    ),
)

MESSAGES = (
    *mutants_of(
        "engine/messenger.py",
        (_MESSENGER,),
        (
            "messages: all occasions are told",
            "if message is not None and message.occasion in self._config.events:",
            "if message is not None:",
        ),
        (
            "messages: below the severity",
            "if _RANKS[severity] < _RANKS[self._config.severity]:",
            "if False:",
        ),
        (
            "messages: alerts wait for no interval",
            "if alike and now - max(alike) < self._config.min_interval_seconds:",
            "if False:",
        ),
        ("messages: a graver one waits too", "if _RANKS[told] >= _RANKS[severity]]", "if True]"),
        (
            "messages: those kept back are not counted",
            "                self._num_kept_back += _RANKS",
            "                self._num_kept_back += 0 * _RANKS",
        ),
        (
            "messages: the end of a run waits for the interval",
            'if message.occasion == "alerts" and not self._is_due',
            "if not self._is_due",
        ),
        (
            "messages: a failure is told again and again",
            "has_failed, self._has_failed = self._has_failed, True",
            "has_failed = False",
        ),
        (
            "messages: the address is told",
            "address = masked(self._config.webhook)",
            "address = self._config.webhook",
        ),
        (
            "messages: the end does not wait for them",
            "            carrier.is_fed.wait(max(0.0, deadline - time.monotonic()))\n",
            "            pass\n",
        ),
        ("messages: a carrier's failure is not seen", "if code != 0:", "if False:"),
        ("messages: an empty variable is an address", 'else "is empty"', 'else ""'),
    ),
    *mutants_of(
        "engine/messages.py",
        (_MESSENGER,),
        (
            "messages: a complaint about messages is one",
            "case HealthAlerted() if event.code != DELIVERY_FAILED:",
            "case HealthAlerted():",
        ),
        (
            "messages: a failure is a note",
            '"failed", "critical", event.kind',
            '"failed", "note", event.kind',
        ),
        (
            "messages: a short job's end is told",
            '        case RunFinished(why="job"):\n            return None\n',
            "",
        ),
        (
            "messages: without the advice",
            'return f"{self.what}. {sentence(self.advice)}" if self.advice else self.what',
            "return self.what",
        ),
    ),
    *mutants_of(
        "engine/delivery_script.py",
        (_MESSENGER,),
        ("delivery: one attempt", "ATTEMPTS = 3", "ATTEMPTS = 1"),
        ("delivery: a refusal is tried again", "if not fault or is_final:", "if not fault:"),
        (
            "delivery: a server at fault is not tried again",
            "error.code < 500 and",
            "error.code < 600 and",
        ),
        (
            "delivery: a redirection is followed",
            "        _NoRedirect(),\n",
            "        urllib.request.HTTPRedirectHandler(),\n",
        ),
        (
            "delivery: an answer that trickles holds it up",
            "signal.setitimer(signal.ITIMER_REAL, seconds)",
            "pass",
        ),
        (
            "delivery: a command that fails has done well",
            'return "" if child.returncode == 0 else',
            'return "" if True else',
        ),
        (
            "delivery: a hanging command's children live",
            "os.killpg(child.pid, signal.SIGKILL)",
            "child.kill()",
        ),
        (
            "delivery: a command waits for ever",
            "child.communicate(body, timeout=timeout_seconds)",
            "child.communicate(body, timeout=None)",
        ),
        ("delivery: it never says what went wrong", "return 1 if faults else 0", "return 0"),
    ),
    *mutants_of(
        "notify_settings.py",
        (_NOTIFY,),
        (
            "address: any scheme is one",
            'if parts.scheme not in ("http", "https") or not has_host:',
            "if not has_host:",
        ),
        ("address: without a host", "or not has_host:", "or False:"),
        (
            "address: with a line break",
            "if not webhook.isascii() or not webhook.isprintable() or",
            "if not webhook.isascii() or",
        ),
        ("address: the path is shown", "/{HIDDEN}", "{parts.path}"),
        ("address: a variable of any name", 'return "" if is_name else', 'return "" if True else'),
        (
            "address: a command of an empty name",
            "if self.command and (not self.command[0] or",
            "if self.command and (",
        ),
        ("address: a command with a NUL", 'or any("\\0" in part for part in self.command)', ""),
    ),
)

READING = (
    *mutants_of(
        "milestones.py",
        ("test_scorecard.py",),
        (
            "milestones: a rejected value was let through",
            "num_caught=milestones.num_caught + 1",
            "num_let_through=milestones.num_let_through + 1",
        ),
        (
            "milestones: a loss that is not finite is none",
            '    if "loss" in event.nonfinite:',
            "    if False:",
        ),
        (
            "milestones: a validation's is none",
            'if "loss" in event.nonfinite else milestones',
            "if False else milestones",
        ),
        (
            "milestones: a later loss is the first one",
            "milestones.first_loss is None and event.loss is not None",
            "event.loss is not None",
        ),
        (
            "milestones: a later epoch is the first one",
            "event if event.epoch == 1 else milestones.first_epoch",
            "event",
        ),
        (
            "milestones: a later accuracy is the first one",
            'event.split == "val" and event.epoch == 1',
            'event.split == "val"',
        ),
        (
            "milestones: the test is the first validation",
            'is_first = event.split == "val" and event.epoch == 1',
            "is_first = event.epoch == 1",
        ),
        ("milestones: gone back from, the first epoch stays", "if epoch >= 1:", "if True:"),
    ),
    *mutants_of(
        "run_reading.py",
        ("test_status.py",),
        (
            "reading: half a line is read",
            '                if not line.endswith(b"\\n"):\n                    return\n',
            "",
        ),
        ("reading: the newest reports are thinned too", "or count - place < NEWEST_LINES", ""),
        ("reading: the first report is left out", "is_kept = is_first or", "is_kept ="),
        (
            "reading: every report is read",
            "stride = max(1, count // MAX_PROGRESS_LINES)",
            "stride = 1",
        ),
        (
            "reading: a dead engine is alive",
            "if is_alive or state.ending is not None",
            "if True or state.ending is not None",
        ),
        (
            "reading: a living engine is dead",
            "if is_alive or state.ending is not None",
            "if state.ending is not None",
        ),
        (
            "reading: what is just being started is dead",
            "(state.attempt == 0 and _is_young(run))",
            "False",
        ),
        (
            "reading: what was never started is young for ever",
            "st_mtime < SECONDS_TO_TAKE_THE_LOCK",
            "st_mtime > 0",
        ),
    ),
)

WATCH_MUTANTS = (*THE_WATCH, *CONTROL, *MESSAGES, *READING)
