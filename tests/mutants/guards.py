"""Every guard's comparison, and what a verdict proposes. A name begins with the guard's."""

from __future__ import annotations

from tests.mutants.mutant import mutants_of

_JUDGED = ("engine/test_guards.py",)
_WATCHED = ("engine/test_watch_guards.py",)
_EARLY = "engine/test_runs.py engine/test_requests.py"

LAYER_4 = (
    *mutants_of(
        "engine/guards/batch.py",
        _JUDGED,
        (
            "batch_samples: judged one batch late",
            "counts.num_batches < config.judge_after_batches",
            "counts.num_batches <= config.judge_after_batches",
        ),
        (
            "batch_samples: not judged at the end of the epoch",
            "if not counts.is_whole and counts.num_batches",
            "if counts.num_batches",
        ),
        (
            "batch_samples: stops at the limit",
            "if share > config.max_lost_fraction:",
            "if share >= config.max_lost_fraction:",
        ),
        (
            "batch_samples: warns at the limit",
            "if share > config.warn_lost_fraction:",
            "if share >= config.warn_lost_fraction:",
        ),
        (
            "batch_samples: warns where it has to stop",
            'unit, advice, "stop")',
            'unit, advice, "none")',
        ),
        (
            "batch_skips: three are too few",
            "counts.num_skipped_batches < config.min_skipped_batches",
            "counts.num_skipped_batches <= config.min_skipped_batches",
        ),
        (
            "batch_skips: an epoch without any batch left goes on",
            "and not is_all:",
            "or is_all:",
        ),
        (
            "batch_skips: the milder of both shares is told",
            'return max(found, key=lambda verdict: verdict.severity == "critical", default=None)',
            'return min(found, key=lambda verdict: verdict.severity == "critical", default=None)',
        ),
        ("bad_input: the sample is not replaced", '"skip_sample",', '"none",'),
        (
            "batch_errors: one more than the limit",
            "is_too_much = num_in_a_row >= limit",
            "is_too_much = num_in_a_row > limit",
        ),
        (
            "batch_errors: it never stops",
            '"stop" if is_too_much else "skip_batch",',
            '"skip_batch",',
        ),
        (
            "out_of_memory: the smallest size is halved again",
            "is_spent = size <= smallest",
            "is_spent = size < smallest",
        ),
        (
            "out_of_memory: a third instead of half is told",
            "half = max(smallest, size // 2)",
            "half = max(smallest, size // 3)",
        ),
        (
            "out_of_memory: it stops at once",
            '"stop" if is_spent else "shrink_micro_batch",',
            '"stop",',
        ),
        ("failed_update: the batch is only skipped", '"rollback",', '"skip_batch",'),
    ),
    *mutants_of(
        "engine/guards/guard.py",
        _JUDGED,
        (
            "batch_samples: the share is of all batches",
            "return self.num_lost_samples / self.num_samples",
            "return self.num_lost_samples / self.num_batches",
        ),
        (
            "batch_skips: the share is of all samples",
            "return self.num_skipped_batches / self.num_batches",
            "return self.num_skipped_batches / self.num_samples",
        ),
    ),
    *mutants_of(
        "engine/screening.py",
        ("engine/test_screening.py",),
        (
            "bad_input: a label equal to the number of classes passes",
            "if not 0 <= label < num_classes:",
            "if not 0 <= label <= num_classes:",
        ),
        (
            "bad_input: a batch with such a label counts as clean",
            "min(labels) >= 0 and max(labels) < num_classes",
            "min(labels) >= 0 and max(labels) <= num_classes",
        ),
        (
            "bad_input: a negative label counts as clean",
            "min(labels) >= 0 and max(labels)",
            "min(labels) >= -1 and max(labels)",
        ),
        (
            "bad_input: numbers are not looked at",
            "return is_in_range and is_known and has_usable_numbers(images_BCHW)",
            "return is_in_range and is_known",
        ),
        (
            "bad_input: another shape counts as clean",
            "!= (3, image_size, image_size):",
            "== ():",
        ),
    ),
)

LAYERS_5_AND_6 = (
    *mutants_of(
        "engine/guards/loss.py",
        _JUDGED,
        (
            "nonfinite_loss: a loss that is not finite passes",
            "is_finite = math.isfinite(reading.loss)",
            "is_finite = True",
        ),
        (
            "nonfinite_loss: scores are not looked at",
            "if is_finite and math.isfinite(reading.best_scores):",
            "if is_finite:",
        ),
        (
            "nonfinite_loss: four in a row",
            "return in_a_row >= least or",
            "return in_a_row > least or",
        ),
        (
            "nonfinite_loss: one more of the last 200",
            "recently > allowed",
            "recently > allowed + 1",
        ),
        (
            "nonfinite_loss: the share's own limit is ignored",
            "allowed = max(least - 1, int(config.max_nonfinite_fraction * RECENT_STEPS))",
            "allowed = least - 1",
        ),
        (
            "nonfinite_loss: it never goes back",
            '"rollback" if is_too_much else "skip_batch",',
            '"skip_batch",',
        ),
    ),
    *mutants_of(
        "engine/guards/spike.py",
        _JUDGED,
        (
            "loss_spike: with one loss less",
            "if len(losses) < MIN_STEPS:",
            "if len(losses) < MIN_STEPS - 1:",
        ),
        (
            "loss_spike: twice the median is not needed",
            "if loss <= config.spike_factor * median or loss",
            "if loss",
        ),
        (
            "loss_spike: a least rise is not needed",
            " or loss <= median + config.spike_min_rise:",
            ":",
        ),
        (
            "loss_spike: deviations do not matter",
            "return loss > median + config.spike_deviations * deviation",
            "return True",
        ),
        (
            "loss_spike: half the deviations",
            "config.spike_deviations * deviation",
            "config.spike_deviations * deviation / 2",
        ),
        (
            "loss_spike: one step more in a row",
            "if in_a_row < config.spike_steps:",
            "if in_a_row <= config.spike_steps:",
        ),
        ("loss_spike: it is only told", '"rollback",', '"none",'),
    ),
    *mutants_of(
        "engine/guards/gradient.py",
        _JUDGED,
        (
            "nonfinite_gradient: a norm that is not finite passes",
            "if reading.is_scaled or math.isfinite(reading.gradient_norm):",
            "if True:",
        ),
        (
            "nonfinite_gradient: an overflow of fp16 is a finding",
            "if reading.is_scaled or math.isfinite",
            "if math.isfinite",
        ),
        (
            "nonfinite_gradient: four in a row",
            "is_too_much = in_a_row >= least or",
            "is_too_much = in_a_row > least or",
        ),
        (
            "nonfinite_gradient: one more of the last 200",
            "reading.num_bad_recently + 1 > allowed",
            "reading.num_bad_recently > allowed",
        ),
        (
            "nonfinite_gradient: it never goes back",
            '"rollback" if is_too_much else "skip_batch",',
            '"skip_batch",',
        ),
        (
            "exploding_gradient: with one norm less",
            "if len(norms) < MIN_STEPS + EXPLODING_STEPS:",
            "if len(norms) < MIN_STEPS + EXPLODING_STEPS - 1:",
        ),
        (
            "exploding_gradient: the highest norm decides",
            "lowest = min(norms[-EXPLODING_STEPS:])",
            "lowest = max(norms[-EXPLODING_STEPS:])",
        ),
        (
            "exploding_gradient: at the limit",
            "if lowest > config.exploding_factor * median > 0.0:",
            "if lowest >= config.exploding_factor * median > 0.0:",
        ),
        (
            "vanishing_gradient: the lowest norm decides",
            "highest = max(norms[-VANISHING_STEPS:])",
            "highest = min(norms[-VANISHING_STEPS:])",
        ),
        (
            "vanishing_gradient: at the limit",
            "if highest < config.vanishing_norm and",
            "if highest <= config.vanishing_norm and",
        ),
        (
            "vanishing_gradient: a small loss does not matter",
            "and loss > _SMALL_LOSS_FRACTION * math.log(num_classes):",
            "and loss > 0.0:",
        ),
        (
            "fp16_scale: at the limit",
            "is_low = scale < config.min_fp16_scale",
            "is_low = scale <= config.min_fp16_scale",
        ),
        (
            "fp16_scale: one overflow more",
            "num_overflows_in_a_row < config.max_overflows_in_a_row:",
            "num_overflows_in_a_row <= config.max_overflows_in_a_row:",
        ),
    ),
    *mutants_of(
        "engine/guards/learning.py",
        _JUDGED,
        (
            "loss_at_chance: before the warm-up is over",
            "if _warm_epochs(reading) < 2 or not reading.train_losses:",
            "if _warm_epochs(reading) < 1 or not reading.train_losses:",
        ),
        (
            "loss_at_chance: any loss is near",
            "if abs(loss - chance) > config.chance_fraction * chance or not is_guessing:",
            "if not is_guessing:",
        ),
        (
            "loss_at_chance: an accuracy above chance does not matter",
            " * chance or not is_guessing:",
            " * chance:",
        ),
        (
            "loss_plateau: one epoch less",
            "if len(losses) <= span:",
            "if len(losses) < span:",
        ),
        (
            "loss_plateau: any fall is enough",
            "limit = before * (1.0 - config.plateau_fraction)",
            "limit = before",
        ),
        (
            "loss_plateau: at the limit",
            "or recent < limit:",
            "or recent <= limit:",
        ),
        (
            "unpredicted_classes: at the limit",
            "if reading.macro_f1 >= limit or reading.epoch < 2:",
            "if reading.macro_f1 > limit or reading.epoch < 2:",
        ),
        (
            "unpredicted_classes: in the first epoch",
            "if reading.macro_f1 >= limit or reading.epoch < 2:",
            "if reading.macro_f1 >= limit:",
        ),
        (
            "learning_rate_high: any rise is enough",
            "limit = best * (1.0 + config.high_rate_rise)",
            "limit = best",
        ),
        (
            "learning_rate_high: at the limit",
            "if losses[-1] <= limit:",
            "if losses[-1] < limit:",
        ),
        (
            "learning_rate_high: an epoch early",
            "_warm_epochs(reading) < 1 or reading.epoch < 3:",
            "_warm_epochs(reading) < 1 or reading.epoch < 2:",
        ),
        (
            "learning_rate_low: a fall at the limit is slow",
            "all(0.0 < fall < config.low_rate_fall for fall in falls)",
            "all(0.0 < fall <= config.low_rate_fall for fall in falls)",
        ),
        (
            "learning_rate_low: a rise is a slow fall",
            "all(0.0 < fall < config.low_rate_fall",
            "all(fall < config.low_rate_fall",
        ),
        (
            "learning_rate_low: a low loss does not matter",
            "if losses[-1] < 0.5 * math.log(reading.num_classes):",
            "if losses[-1] < 0.0:",
        ),
    ),
)

LAYER_7 = mutants_of(
    "engine/guards/epoch.py",
    _JUDGED,
    (
        "first_epoch: three times chance does not matter",
        "min(config.first_epoch_accuracy, 3.0 * chance)",
        "config.first_epoch_accuracy",
    ),
    (
        "first_epoch: chance itself is enough",
        "if reading.accuracy > limit:",
        "if reading.accuracy >= limit:",
    ),
    (
        "first_epoch: below chance is enough with two classes",
        "limit = max(chance, min(",
        "limit = max(0.0, min(",
    ),
    (
        "falling_loss: one that stands still has fallen",
        "or not losses or losses[-1] < before:",
        "or not losses or losses[-1] <= before:",
    ),
    (
        "falling_loss: not in the second epoch",
        "if reading.epoch > 2 or before is None",
        "if reading.epoch > 1 or before is None",
    ),
    (
        "rising_validation_loss: an epoch early",
        "span = config.rising_epochs",
        "span = config.rising_epochs - 1",
    ),
    (
        "rising_validation_loss: one that stands still rises",
        "all(later > earlier for earlier, later",
        "all(later >= earlier for earlier, later",
    ),
    (
        "rising_validation_loss: the training loss does not matter",
        "if not is_rising or train[-1] >= train[0]:",
        "if not is_rising:",
    ),
    (
        "nonfinite_validation_loss: it passes",
        "if math.isfinite(loss):",
        "if True:",
    ),
    (
        "nonfinite_validation_loss: it is only told",
        """        "the validation loss is not finite: the model is broken",
        None,
        None,
        "",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "rollback",""",
        """        "the validation loss is not finite: the model is broken",
        None,
        None,
        "",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "none",""",
    ),
    ("nonfinite_state: it passes", "if not names:", "if names:"),
    (
        "nonfinite_state: it is only told",
        """        "tensors that are not finite",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "rollback",""",
        """        "tensors that are not finite",
        "lower train.learning_rate, or set compute.precision = 'fp32'",
        "none",""",
    ),
)

EARLY_STOPPING = mutants_of(
    "engine/epoch_protection.py",
    _EARLY.split(),
    (
        "early_stopping: an epoch late",
        "return patience is not None and waited >= patience and not is_silenced",
        "return patience is not None and waited > patience and not is_silenced",
    ),
    (
        "early_stopping: silenced, it stops all the same",
        "and waited >= patience and not is_silenced",
        "and waited >= patience",
    ),
)

WATCH = (
    *mutants_of(
        "engine/guards/stall.py",
        _WATCHED,
        (
            "stall: later than the limit",
            "if reading.silent_seconds < limit:",
            "if reading.silent_seconds <= limit:",
        ),
        (
            "stall: grave later than its limit",
            "is_grave = reading.silent_seconds >= GRAVE_FACTOR * limit",
            "is_grave = reading.silent_seconds > GRAVE_FACTOR * limit",
        ),
        ("stall: the slowest step of all decides", "math.ceil(0.99 *", "math.ceil(1.0 *"),
        ("stall: a save counts as one", ", reading.save_seconds)", ")"),
        (
            "stall: the loader's supervision comes too late",
            "return limit * LOADER_FACTOR if reading.is_waiting else limit",
            "return limit",
        ),
        ("stall: it never pauses", '"pause" if is_grave else "none",', '"none",'),
    ),
    *mutants_of(
        "engine/guards/memory.py",
        _WATCHED,
        (
            "host_memory: warns at the limit",
            "if share <= limits.warn_memory_fraction:",
            "if share < limits.warn_memory_fraction:",
        ),
        (
            "host_memory: critical at the limit",
            "is_critical = share > limits.max_memory_fraction",
            "is_critical = share >= limits.max_memory_fraction",
        ),
        (
            "host_memory: one look is enough",
            "share = min(looks) / reading.total_bytes",
            "share = max(looks) / reading.total_bytes",
        ),
        (
            "memory_growth: any gain counts",
            "trend.gain < LEAST_GAIN_FRACTION * reading.total_bytes:",
            "trend.gain < 0:",
        ),
        (
            "memory_growth: at the horizon",
            "if until >= limits.memory_forecast_seconds:",
            "if until > limits.memory_forecast_seconds:",
        ),
    ),
    *mutants_of(
        "engine/guards/storage.py",
        _WATCHED,
        (
            "disk_room: critical at the limit",
            "if room < limits.min_free_saves:",
            "if room <= limits.min_free_saves:",
        ),
        (
            "disk_room: warns at the limit",
            "if room < limits.warn_free_saves:",
            "if room <= limits.warn_free_saves:",
        ),
        (
            "disk_room: at the horizon",
            "if until >= limits.disk_forecast_seconds:",
            "if until > limits.disk_forecast_seconds:",
        ),
        (
            "disk_room: it never pauses",
            '"pause" if is_critical else "none",',
            '"none",',
        ),
    ),
    *mutants_of(
        "engine/guards/pace.py",
        _WATCHED,
        (
            "throughput: at the limit",
            "if reading.images_per_second >= limits.slow_pace_fraction * usual:",
            "if reading.images_per_second > limits.slow_pace_fraction * usual:",
        ),
        (
            "throughput: two epochs are enough",
            "if len(reading.past) < LEAST_PAST:",
            "if len(reading.past) < LEAST_PAST - 1:",
        ),
        (
            "starved_loader: at the limit",
            "reading.wait_fraction <= limits.starved_fraction",
            "reading.wait_fraction < limits.starved_fraction",
        ),
        (
            "starved_loader: a short wait counts",
            "if reading.seconds < limits.starved_seconds or (",
            "if reading.seconds < 0 or (",
        ),
    ),
    *mutants_of(
        "engine/guards/machine.py",
        _WATCHED,
        (
            "gpu_fault: one more error of its memory",
            "if reading.new_ecc_errors >= limits.max_ecc_errors:",
            "if reading.new_ecc_errors > limits.max_ecc_errors:",
        ),
        (
            "gpu_fault: at the margin",
            "if margin < limits.shutdown_margin_celsius:",
            "if margin <= limits.shutdown_margin_celsius:",
        ),
        (
            "gpu_fault: one look more",
            "if reading.slowed_looks >= NUM_LOOKS:",
            "if reading.slowed_looks > NUM_LOOKS:",
        ),
        (
            "gpu_fault: one silence more",
            "if reading.silent_looks >= SILENT_LOOKS:",
            "if reading.silent_looks > SILENT_LOOKS:",
        ),
        (
            "gpu_fault: it is only told",
            'observed, limit, unit, advice, "pause")',
            'observed, limit, unit, advice, "none")',
        ),
        (
            "gpu_hot: one look more",
            "if reading.warm_looks < NUM_LOOKS:",
            "if reading.warm_looks <= NUM_LOOKS:",
        ),
    ),
    *mutants_of(
        "engine/guards/trends.py",
        _WATCHED,
        (
            "a trend: one block may fall",
            "if min(gains) <= 0 or min(gains)",
            "if min(gains)",
        ),
        (
            "a trend: what levels off is one",
            " or min(gains) < STEADY_FRACTION * sum(gains) / len(gains):",
            ":",
        ),
        (
            "a trend: a short time is enough",
            "points[-1][0] - points[0][0] < least_seconds:",
            "points[-1][0] - points[0][0] < 0:",
        ),
    ),
)

SILENCING = mutants_of(
    "engine/guards/known.py",
    _JUDGED,
    (
        "silenced: what is needed is left away",
        'or verdict.action == "none" or verdict.guard in _NEEDED:',
        'or verdict.action == "none":',
    ),
    (
        "silenced: a step that is not finite is taken",
        'return verdict.quieted("skip_batch" if verdict.guard in _KEPT_OUT else "none")',
        'return verdict.quieted("none")',
    ),
    (
        "silenced: every guard is",
        "if verdict.guard not in names or",
        "if",
    ),
)

GUARD_MUTANTS = (*LAYER_4, *LAYERS_5_AND_6, *LAYER_7, *EARLY_STOPPING, *WATCH, *SILENCING)
