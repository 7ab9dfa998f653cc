"""Guards inspect what was measured and return verdicts; they change nothing themselves.

    batch      layer 4  samples and batches that could not be used
    loss       layer 5  the loss before the update
    gradient   layer 6  the gradient norm before the update
    epoch      layer 7  an epoch as a whole, and its validation

    stall, pace, memory, storage, machine    what the training runs on, watched beside it; their
                                             verdicts are of layer 1, the environment

What a verdict leads to is `ecotui.engine.recovery`'s.
"""
