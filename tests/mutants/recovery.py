"""Every action of recovery, left away or done wrong. A name begins with the action's."""

from __future__ import annotations

from tests.mutants.mutant import mutants_of

_RECOVERY = "engine/test_recovery.py"
_ROLLBACK = f"{_RECOVERY}::TestRollback"
_MEMORY = f"{_RECOVERY}::TestMemory"
_LIMITS = "engine/test_recovery_limits.py"
_AVERAGING = "engine/test_averaging.py"
_STEP = "engine/test_step.py"
_KERNEL = "engine/test_fused_kernel.py"
_HEALING = "engine/test_healing.py"
_PROTECTION = "engine/test_protection.py"
_SAVING = "engine/test_saving.py"

AROUND_A_STEP = mutants_of(
    "engine/step_protection.py",
    (_LIMITS, _RECOVERY, _PROTECTION, _HEALING),
    (
        "skip: a step that is not finite is taken",
        "elif self._judged(gradients, self._loop.step) is not None:",
        "elif False:",
    ),
    (
        "skip: BatchNorm's buffers are not put back",
        """        self.stepper.abandon()
        self._buffers.put_back()
        if fault.is_memory:""",
        """        self.stepper.abandon()
        if fault.is_memory:""",
    ),
    (
        "skip: BatchNorm's buffers are not remembered",
        "self._buffers.remember()",
        "self._buffers.put_back()",
    ),
    (
        "skip: a step read late is taken",
        "is_bad = ~torch.isfinite(measured).all()",
        "is_bad = torch.isfinite(measured).sum() < 0",
        _STEP,
    ),
    (
        "skip: a step read late leaves BatchNorm's buffers",
        "self._buffers.put_back_where(is_bad)",
        "pass",
        _STEP,
    ),
    (
        "skip: a step read late is not counted as skipped",
        "self._loop.num_skipped_batches += 1",
        "pass",
        _LIMITS,
    ),
    (
        "skip: random numbers go on in a second try",
        """            self._make_room(fault, batch)
            self._generators.put_back()""",
        "            self._make_room(fault, batch)",
        _MEMORY,
    ),
    (
        "skip: an error of a step ends the run",
        "_RAISED = (RuntimeError, AssertionError, ValueError, MemoryError)",
        "_RAISED = (RuntimeError, ValueError, MemoryError)",
    ),
    (
        "skip: errors in a row are not counted",
        "loop.num_errors_in_a_row += 1",
        "loop.num_errors_in_a_row = 1",
    ),
    (
        "skip: steps in a row are not counted",
        "loop.num_bad_in_a_row += 1",
        "loop.num_bad_in_a_row = 1",
    ),
    (
        "skip: steps of the last 200 are not counted",
        "loop.bad_steps = [*(each for each in loop.bad_steps if each > oldest), step]",
        "loop.bad_steps = []",
    ),
    (
        "skip: a series begins with its last step",
        """        if loop.num_bad_in_a_row == 1:
            loop.first_bad_step = step""",
        "        loop.first_bad_step = step",
    ),
    (
        "quarantine: a sample that fails alone stays",
        "self._parts.train_loader.leave_out(sample_id, reason)",
        "pass",
    ),
    (
        "quarantine: it is not kept out in a later attempt",
        "self._loop.quarantined.append(sample_id)",
        "pass",
    ),
    (
        "quarantine: batches that were read ahead are used",
        "        self.wants_anew = True\n",
        "",
    ),
    (
        "quarantine: what is set aside is not written down",
        "        self._set_aside(failures)\n",
        "",
    ),
    (
        "quarantine: what is set aside is not counted as lost",
        "self._loop.num_lost_samples += len(failures)",
        "pass",
    ),
    (
        "quarantine: a batch is used as the loader gave it",
        "return self._replaced(batch, reasons) if reasons else batch",
        "return batch",
        _HEALING,
    ),
    (
        "quarantine: samples are set aside without healing",
        "        if self._config.healing:\n            return\n",
        "        return\n",
        f"{_HEALING} {_RECOVERY}",
    ),
    (
        "state: a broken one counts as sound",
        "verdict = epoch_guard.inspect_state(self._soundness.broken())",
        "verdict = None",
        f"{_HEALING} {_LIMITS} {_ROLLBACK}",
    ),
    (
        "state: a sound one is not noted",
        "            self._loop.sound_step = self._loop.step\n",
        "",
        f"{_HEALING} {_LIMITS} {_ROLLBACK}",
    ),
    (
        "state: the batch is blamed for a broken one",
        "            self.judge_state()  # with a broken state no batch is to blame\n",
        "            pass\n",
        f"{_HEALING} {_RECOVERY}",
    ),
    (
        "memory: the batch is skipped",
        "if fault.is_memory:",
        "if False:",
        _MEMORY,
    ),
    (
        "memory: an update that was half done is kept",
        """        self._relief.shrink()
        if fault.is_update:""",
        """        self._relief.shrink()
        if False:""",
        _MEMORY,
    ),
    (
        "update: half done, it counts as undone",
        "        if fault.is_update:\n            verdict = batch_guard.inspect_update",
        "        if False:\n            verdict = batch_guard.inspect_update",
        _HEALING,
    ),
    (
        "fp16: an overflow leaves BatchNorm's buffers",
        """                self.stepper.abandon()
                self._buffers.put_back()
            elif""",
        """                self.stepper.abandon()
            elif""",
        f"{_LIMITS} {_RECOVERY} {_STEP}",
    ),
    (
        "fp16: an overflow is a bad step",
        "return is_scaled and is_whole and not math.isfinite(gradients.norm)",
        "return False",
        f"{_LIMITS} {_RECOVERY} {_STEP}",
    ),
    (
        "fp16: overflows in a row are not counted",
        "self._loop.num_overflows_in_a_row += 1",
        "self._loop.num_overflows_in_a_row = 1",
        f"{_LIMITS} {_RECOVERY} {_STEP}",
    ),
)

THE_STEP = (
    *mutants_of(
        "engine/step.py",
        (_STEP, _RECOVERY),
        (
            "scores: only the loss is looked at",
            "best.values.sum(dtype=torch.float32).to(loss)",
            "loss",
            f"{_STEP} {_RECOVERY}",
        ),
        (
            "average: never updated",
            "            self._averaging.update(step)",
            "            pass",
            _STEP,
        ),
    ),
    *mutants_of(
        "engine/averaging.py",
        (_AVERAGING, _STEP),
        (
            "average: updated after a step read late that was bad",
            "share = torch.where(is_bad, 0.0, 1.0 - self._ema.get_decay(step))",
            "share = torch.tensor(1.0 - self._ema.get_decay(step))",
            _AVERAGING,
        ),
        (
            "average: counters of a bad step are taken over",
            "own.copy_(torch.where(is_bad, own, new))",
            "own.copy_(new)",
            _AVERAGING,
        ),
        (
            "average: counters stand still",
            "        if self._counts:",
            "        if False:",
            _AVERAGING,
        ),
        (
            "average: of what the tensors were",
            "network.state_dict(keep_vars=True)",
            "network.state_dict()",
            _AVERAGING,
        ),
    ),
    *mutants_of(
        "engine/folding.py",
        (_STEP,),
        (
            "skip: the kernel takes a bad step",
            "told.grad_scale, told.found_inf = divisor, is_bad",
            "told.grad_scale, told.found_inf = divisor, None",
        ),
        (
            "clipping: the kernel does not divide",
            "told.grad_scale, told.found_inf = divisor, is_bad",
            "told.grad_scale, told.found_inf = None, is_bad",
        ),
    ),
    *mutants_of(
        "engine/fused_kernel.py",
        (_KERNEL,),
        (
            "skip: the kernel called by itself takes a bad step",
            "found_inf=is_bad,",
            "found_inf=None,",
        ),
        (
            "clipping: the kernel called by itself does not divide",
            "grad_scale=divisor,",
            "grad_scale=None,",
        ),
        (
            "skip: a bad step is counted",
            "torch._foreach_sub_(counts, [is_bad] * len(counts))",
            "pass",
        ),
        (
            "kernel: one with other bits is relied upon",
            "FusedKernel(optimizer) if _agrees(optimizer, device) else None",
            "FusedKernel(optimizer)",
        ),
        (
            "kernel: a weight without moments is not left to torch",
            "if not all(all(states) for _, states in held):",
            "if not any(any(states) for _, states in held):",
        ),
    ),
    *mutants_of(
        "engine/clipping.py",
        (_STEP,),
        (
            "clipping: a norm above the limit is left alone",
            "self._limit is None or norm <= self._limit",
            "self._limit is None or norm >= self._limit",
        ),
        (
            "clipping: adaptive, and nothing is learned",
            "return self._known is None and (",
            "return (",
        ),
        (
            "clipping: short gradients are made longer",
            "torch.clamp(norm / self._limit, min=1.0)",
            "norm / self._limit",
        ),
        (
            "clipping: a norm that is not finite is learned from",
            "known.copy_(torch.where(torch.isfinite(norm), learned, known))",
            "known.copy_(learned)",
        ),
        (
            "clipping: a spike draws the average along",
            "self._learn(torch.where(torch.isfinite(norm), target, norm), self._known)",
            "self._learn(norm, self._known)",
        ),
        (
            "clipping: the first steps are clipped",
            "(count >= _WARMUP_STEPS) & (score > _MAX_DEVIATIONS)",
            "(count >= 2) & (score > _MAX_DEVIATIONS)",
        ),
    ),
    *mutants_of(
        "engine/soundness.py",
        (_RECOVERY, _HEALING),
        (
            "state: the average is not looked at",
            "        if trainable.ema is not None:\n",
            "        if False:\n",
        ),
        (
            "state: moments are not looked at",
            "if isinstance(value, torch.Tensor) and value.dim():",
            "if False:",
        ),
        (
            "state: what was never finite is broken",
            "            if name not in self.exempt:\n",
            "            if True:\n",
        ),
    ),
)

GOING_BACK = (
    *mutants_of(
        "engine/rollback.py",
        (_LIMITS, _ROLLBACK, _RECOVERY),
        (
            "rollback: memory is no source",
            "if self._copy.held is not None:",
            "if False:",
        ),
        (
            "rollback: the disk is no source",
            "for path in checkpoint.list_steps(self._run.checkpoints)",
            "for path in []",
        ),
        (
            "rollback: a state of after the fault is taken",
            "if each[0] <= span.first_step]",
            "if True]",
        ),
        (
            "rollback: the nearest state is taken",
            "nearer = [each for each in early if each[0] > far]",
            "nearer = [each for each in early if False]",
        ),
        (
            "rollback: a broken state is taken",
            "            if not self.soundness.broken():\n",
            "            if True:\n",
        ),
        (
            "rollback: one more than the limit",
            "limit = parts.config.guards.max_rollbacks",
            "limit = parts.config.guards.max_rollbacks + 1",
        ),
        (
            "rollback: it forgets that it went back",
            '    *("num_rollbacks", "learning_rate_factor", "passed_over"),\n',
            "",
        ),
        (
            "rollback: it forgets what was set aside",
            '"told", "quarantined", "num_incidents"',
            '"told", "num_incidents"',
        ),
        (
            "rollback: the rate is lowered the first time",
            "if number > 1:",
            "if number > 0:",
        ),
        (
            "rollback: the rate is never lowered",
            "if number > 1:",
            "if False:",
        ),
        (
            "rollback: the lowered rate is not used",
            "        self._parts.schedule.factor = loop.learning_rate_factor\n",
            "",
        ),
        (
            "rollback: the fault is met again",
            "loop.passed_over = [*loop.passed_over, [first, end]]",
            "loop.passed_over = loop.passed_over",
        ),
        (
            "rollback: all batches up to the fault are passed over",
            "max(self._parts.place(loop.epoch, loop.batch_in_epoch), end - longest)",
            "self._parts.place(loop.epoch, loop.batch_in_epoch)",
        ),
        (
            "rollback: a part of the fault is met again",
            "longest = max(span.num_batches, int(share))",
            "longest = int(share)",
        ),
        (
            "rollback: batches are passed over for a broken state",
            "        if not span.passes_over:\n            return 0\n",
            "",
        ),
        (
            "rollback: rows of epochs that were not stay",
            "lambda: cut_metrics(metrics, loop.epoch)",
            "lambda: None",
        ),
        (
            "rollback: the state is not saved",
            'if self._saver.save(loop, "rollback") is not None:',
            "if False:",
        ),
        (
            "rollback: later states stay",
            "            self._saver.void_later(loop.step)\n",
            "            pass\n",
        ),
        (
            "rollback: for memory it counts as one",
            "verdict.what) if counts else 0",
            "verdict.what) if True else 0",
        ),
    ),
    *mutants_of(
        "engine/recovery.py",
        (_RECOVERY, _HEALING, _PROTECTION),
        (
            "stop: it goes on",
            'if resolved.action == "stop":',
            "if False:",
        ),
        (
            "stop: with another exit code",
            "_expected(resolved), remedy, exit_code)",
            "_expected(resolved), remedy, ExitCode.HEALTH)",
        ),
        (
            "stop: without any sound state it goes on",
            'resolved = replace(resolved, what=nowhere, action="stop")',
            'resolved = replace(resolved, what=nowhere, action="none")',
        ),
        (
            "stop: not without healing",
            'return allowed.quieted("stop")',
            "return allowed",
        ),
        (
            "stop: rollbacks go round for ever",
            'if allowed.action == "rollback" and not budget.is_left(allowed.guard):',
            "if False:",
        ),
        (
            "rollback: it goes on where it was",
            "                raise RolledBack\n            nowhere",
            "                return\n            nowhere",
        ),
        (
            "rollback: for memory none is done",
            "if self._rollback.go_back(verdict, span, counts=False):",
            "if False:",
        ),
        (
            "told: again and again",
            "            told.append(guard)\n",
            "",
            _LIMITS,
        ),
        (
            "told: what is over stays",
            "            told.remove(guard)\n",
            "            return\n",
            _LIMITS,
        ),
        (
            "skip: counted on after a good step",
            "self._loop.num_bad_in_a_row = self._loop.num_errors_in_a_row = 0",
            "pass",
        ),
        (
            "skip: nobody hears that it is over",
            '        if resolved.action in ("skip_batch", "shrink_micro_batch"):\n',
            "        if False:\n",
        ),
    ),
    *mutants_of(
        "engine/trends.py",
        (_LIMITS, _ROLLBACK),
        (
            "spike: an interrupted one goes on",
            "            loop.spike_steps = 0\n            loop.recent_losses.append",
            "            loop.recent_losses.append",
        ),
        (
            "spike: it is what losses are compared with",
            "        loop.spike_steps += 1\n",
            "        loop.spike_steps += 1\n        loop.recent_losses.append(loss)\n",
        ),
        (
            "spike: it begins with its last step",
            "Span(step - count + 1, count)",
            "Span(step, 1)",
        ),
    ),
    *mutants_of(
        "engine/superseding.py",
        (_RECOVERY,),
        (
            "rollback: a state that was gone back from is resumed",
            "def superseded(",
            "def superseded(folder: Path) -> list[Path]:\n    return []\n\n\ndef _unused(",
        ),
    ),
    *mutants_of(
        "engine/protection.py",
        (_LIMITS, _RECOVERY, _HEALING),
        (
            "rollback: the copy in memory is replaced in mid-fault",
            "self._around.saver.keeps_copy = self._is_thrown_off()",
            "pass",
        ),
        (
            "rollback: no state is kept in memory at first",
            "        loop.sound_step = loop.step\n        self._remember()",
            "        loop.sound_step = loop.step",
        ),
        (
            "rollback: no newer state is kept in memory",
            "            if is_old and not self._is_thrown_off():\n",
            "            if False:\n",
        ),
        (
            "state: looked at a step late",
            "is_due = loop.step - loop.sound_step >= config.check_state_every_steps",
            "is_due = loop.step - loop.sound_step > config.check_state_every_steps",
        ),
        (
            "state: a refusal of the saver is not looked at",
            "if is_due or self._around.saver.take_refusal():",
            "if is_due:",
        ),
        (
            "state: a refusal at the end is not looked at",
            "        if self._around.saver.take_refusal():\n            self.steps.judge_state()",
            "        pass",
        ),
        (
            "rollback: batches of the fault are not passed over",
            "return any(first <= place < end for",
            "return any(False for",
        ),
        (
            "rollback: one batch of the fault is met",
            "first <= place < end",
            "first < place < end",
        ),
        (
            "rollback: one batch more is passed over",
            "first <= place < end",
            "first <= place <= end",
        ),
        (
            "quarantine: a sample wanted back stays out",
            "if each not in back]\n        loop.set_aside",
            "]\n        loop.set_aside",
        ),
        (
            "quarantine: forgotten by a later attempt",
            "self._parts.train_loader.leave_out(sample_id, KEPT_OUT)",
            "pass",
        ),
        (
            "memory: an evaluation is not made smaller",
            "        return size // 2",
            "        return size",
        ),
        (
            "memory: an evaluation ends with another exit code",
            "self.recovery.act(verdict, exit_code=ExitCode.OUT_OF_MEMORY)",
            "self.recovery.act(verdict)",
        ),
        (
            "memory: the next evaluation begins too large again",
            "self.relief.evaluation_size = size // 2",
            "pass",
        ),
    ),
    *mutants_of(
        "engine/epoch_protection.py",
        (_LIMITS, _PROTECTION, _RECOVERY, "engine/test_runs.py"),
        (
            "stop: lost samples are not counted",
            "loop.num_lost_samples += len(batch.failures)",
            "pass",
        ),
        (
            "stop: skipped batches are not counted",
            "loop.num_skipped_batches += 0 if is_used else 1",
            "pass",
        ),
        (
            "told: a share is told at every batch",
            "            self._warned_epoch = self._loop.epoch\n",
            "",
        ),
        (
            "validation: a broken one passes",
            "verdict = epoch_guard.inspect_validation(evaluation.loss)",
            "verdict = None",
        ),
    ),
)

MEMORY = (
    *mutants_of(
        "engine/relief.py",
        (f"{_LIMITS}::TestMemory", _MEMORY),
        (
            "memory: the micro-batch is not halved",
            "self._set(max(self.smallest, self.size // 2), _MEMORY)",
            "self._set(max(self.smallest, self.size), _MEMORY)",
        ),
        (
            "memory: the micro-batch is halved twice",
            "self._set(max(self.smallest, self.size // 2), _MEMORY)",
            "self._set(max(self.smallest, self.size // 4), _MEMORY)",
        ),
        (
            "memory: BatchNorm gets one image",
            "self.smallest = 2 if has_norms else 1",
            "self.smallest = 1",
        ),
        (
            "memory: what it was is forgotten",
            "loop.micro_batch_wanted = max(loop.micro_batch_wanted, self.size)",
            "pass",
        ),
        (
            "growing: a step early",
            "if loop.steps_since_shrink < config.grow_after_steps:",
            "if loop.steps_since_shrink + 1 < config.grow_after_steps:",
        ),
        (
            "growing: again and again",
            "or loop.num_growths >= config.max_growths:",
            "or False:",
        ),
        ("growing: not counted", "        loop.num_growths += 1\n", ""),
        (
            "growing: beyond what it was",
            "min(loop.micro_batch_wanted, 2 * self.size)",
            "4 * self.size",
        ),
        (
            "growing: not by as much as it was halved",
            "min(loop.micro_batch_wanted, 2 * self.size)",
            "self.size + 1",
        ),
        (
            "growing: steps before a shrink count",
            "        loop.steps_since_shrink = 0\n        free_caches",
            "        free_caches",
        ),
        (
            "memory: it is not written down",
            "            self._changes.put(\n",
            "            lambda *_, **__: None or self._changes.put(\n",
        ),
        (
            "memory: a resumption counts as exact",
            'why=why, exactness="E1"',
            'why=why, exactness="E2"',
        ),
    ),
    *mutants_of(
        "engine/step.py",
        (_LIMITS, _MEMORY, _PROTECTION),
        (
            "accumulation: the last part alone is learned from",
            "trainable.scaler.scale(loss).backward()",
            "trainable.optimizer.zero_grad(); trainable.scaler.scale(loss).backward()",
        ),
        (
            "accumulation: each part counts as a whole",
            "loss = parts.objective.summed(logits_BK, target) / normaliser",
            "loss = parts.objective.summed(logits_BK, target) / len(target)",
        ),
        (
            "accumulation: only the first part is looked at",
            "found[:3] = torch.stack(measured).view(-1, 3).sum(dim=0)",
            "pass",
        ),
    ),
)

SAVING = (
    *mutants_of(
        "engine/saving.py",
        (_SAVING, _RECOVERY),
        (
            "best: a figure that is not finite is better",
            "    if not math.isfinite(value):\n        return False\n",
            "",
            f"{_LIMITS}::TestBest",
        ),
        (
            "best: an equal figure is better",
            'return value < best if metric == "loss" else value > best',
            'return value <= best if metric == "loss" else value >= best',
            f"{_LIMITS}::TestBest",
        ),
        (
            "best: a higher loss is better",
            'return value < best if metric == "loss" else value > best',
            "return value > best",
            f"{_LIMITS}::TestBest",
        ),
    ),
    *mutants_of(
        "engine/commits.py",
        (_SAVING,),
        (
            "saved: a state that is not finite",
            "                    raise NonfiniteError(name)\n",
            "                    pass\n",
        ),
        (
            "saved: nobody hears that a state was refused",
            "self.has_refused = True",
            "pass",
            _ROLLBACK,
        ),
        (
            "saved: what the disk did not take is forgotten",
            "            self.failed = job\n",
            "            pass\n",
            "engine/test_full_disk.py",
        ),
        (
            "saved: memory that runs out ends the run",
            "isinstance(error, OSError) or is_out_of_memory(error) or",
            "isinstance(error, OSError) or",
            "engine/test_full_disk.py",
        ),
        (
            "saved: what cannot be read back for now ends the run",
            "            yield from self._keeper.tend(self._best)\n"
            "        except Exception as error:",
            "            yield from self._keeper.tend(self._best)\n"
            "        except ZeroDivisionError as error:",
            "engine/test_full_disk.py",
        ),
        (
            "saved: one try is enough",
            "TRIES = 2",
            "TRIES = 1",
            "engine/test_full_disk.py::test_a_save_that_fails_once_is_written_from_the_start_without_a_word",
        ),
    ),
    *mutants_of(
        "engine/evaluate.py",
        (_ROLLBACK,),
        (
            "validation: scores that are not finite hide behind a loss",
            "torch.isfinite(",
            "torch.isreal(",
        ),
        (
            "validation: what is not read yet at the end is lost",
            "            on_batch(batch)\n        totals.read(unread)\n",
            "            on_batch(batch)\n",
            "engine/test_evaluate.py",
        ),
        (
            "validation: what was read is read again",
            "                    unread.clear()\n",
            "                    pass\n",
            "engine/test_evaluate.py",
        ),
    ),
)

_BUDGET = "engine/test_rollback_budget.py"
_REPORT = "engine/test_stop_report.py"

BUDGET = (
    *mutants_of(
        "engine/rollback_budget.py",
        (_BUDGET,),
        (
            "budget: one rollback more",
            "return self.num_left > 0",
            "return self.num_left >= 0",
        ),
        (
            "budget: only the state counts",
            "return max(self._loop.num_rollbacks, len(self.begun))",
            "return self._loop.num_rollbacks",
        ),
        (
            "budget: only the file counts",
            "return max(self._loop.num_rollbacks, len(self.begun))",
            "return len(self.begun)",
        ),
        (
            "budget: a rollback that kills is begun for ever",
            "return self.begun[-1].tries < MAX_TRIES and",
            "return",
        ),
        (
            "budget: one try less",
            "self.begun[-1].tries < MAX_TRIES",
            "self.begun[-1].tries < MAX_TRIES - 1",
        ),
        (
            "budget: the same one counts anew after a death",
            "return is_same and self._loop.num_rollbacks < len(self.begun)",
            "return False",
        ),
        (
            "budget: a fault that comes back is the same one",
            "return is_same and self._loop.num_rollbacks < len(self.begun)",
            "return is_same",
        ),
        (
            "budget: another fault is the same one",
            "(last.guard, last.step) == (guard, self._loop.step)",
            "last.guard == guard",
        ),
        (
            "budget: what led nowhere counts",
            "        self.begun.pop()\n        self._write()",
            "        pass",
        ),
    ),
    *mutants_of(
        "engine/rollback.py",
        (_BUDGET,),
        (
            "budget: it is written once all is done",
            "        number = self.budget.begin(verdict.guard, verdict.what) if counts else 0\n"
            "        restored = self._restored(span)\n",
            "        restored = self._restored(span)\n"
            "        number = self.budget.begin(verdict.guard, verdict.what) if counts else 0\n",
        ),
    ),
    *mutants_of(
        "engine/protection.py",
        (_REPORT,),
        ("report: none is written", "self.recovery.report = self._story.write", "pass"),
        ("report: that of an earlier attempt stays", "        self._story.clear()\n", ""),
    ),
    *mutants_of(
        "engine/stop_report.py",
        (_REPORT,),
        (
            "report: rollbacks are not told",
            '                yield f"{place}. {_rollback(each)}"',
            "                pass",
        ),
        (
            "report: told where it is not",
            'return visible(path) if path.is_file() else ""',
            "return visible(path)",
        ),
        ("report: foreign text is raw", "text = visible(value, limit=300)", "text = str(value)"),
    ),
    *mutants_of(
        "status_report.py",
        ("test_status.py",),
        (
            "report: named of a run that has finished",
            "isinstance(ending, RunFailed) and run.stop_report",
            "run.stop_report",
        ),
    ),
)

RECOVERY_MUTANTS = (*AROUND_A_STEP, *THE_STEP, *GOING_BACK, *MEMORY, *SAVING, *BUDGET)
