"""The engine: alone in its own process, it trains and states facts as events.

Floors inside, each importing only from those below it:
    __main__    the child's door: lock, signals, first event, then imports the rest
    runner      a job from its first to its last event; failures become RunFailed
    trainer, preflight, diagnose, describe, export, resumption    what a job does
    protection
    recovery, step
    assembly, saving                        all parts of a run; what is saved when
    evaluate, guards
    control, environment, train_state, machine, known_causes
    reliving                                the same without a child, where one survived before
    versions, probing                       what diagnose measures
    checkpoint, tensors, data, model, optim, loss, compute, meter, verdicts
    emit, input_spec, randomness
    seeds, probe_script, awake
"""
