"""The engine: alone in its own process, it trains and states facts as events.

Floors inside, each importing only from those below it:
    __main__  the child's door: lock, signals, first event, then imports the rest
    runner    a job as stages; failures become RunFailed
    trainer, describe           one job each
    control, evaluate, export   what a job uses
    checkpoint, data, model, optim, compute   the parts
    emit      how facts are stated
"""
